//! Environments that lack something: each is a clear error or a stated fallback. The program runs in a
//! child that lost it just before; what it says proves that it ran and met the lack.
#![expect(unsafe_code, reason = "takes things away from a child before it becomes the program")]

#[expect(dead_code, reason = "shared by several test programs")]
mod common;

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use common::program;
use fixtures::scenario::{CrashPoint, Scenario};
use fixtures::supervisor::Launch;
use mbmgr::{Config, LAYOUT_HASH, Manager, Options};
use nix::libc;
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::{Gid, Uid, setgid, setgroups, setuid};
use shmem::{Segment, SegmentName, SegmentOptions};

/// Nobody in particular.
const NOBODY: u32 = 65534;

/// Exit code, standard output and standard error of `takeover ARGS` in a child that did `lose` first.
fn takeover(
    args: &[&str],
    lose: impl FnMut() -> io::Result<()> + Send + Sync + 'static,
) -> (i32, String, String) {
    let mut command = Command::new(program!("takeover"));
    command.args(args).stdin(Stdio::null());
    // SAFETY: what the tests do there are system calls, on values made before.
    unsafe { command.pre_exec(lose) };
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let code = output.status.code().unwrap_or_else(|| panic!("it ended by {}", output.status));
    (code, text(&output.stdout), text(&output.stderr))
}

/// A call that fails, and says so in one place.
fn refused(
    args: &[&str],
    lose: impl FnMut() -> io::Result<()> + Send + Sync + 'static,
    says: &[&str],
) {
    let (code, out, error) = takeover(args, lose);
    assert_ne!(code, 0, "{out}{error}");
    for wanted in says {
        assert!(error.contains(wanted) || out.contains(wanted), "no `{wanted}` in: {out}{error}");
    }
    assert!(!error.contains("panicked"), "{error}");
}

fn become_nobody() -> io::Result<()> {
    if nix::unistd::geteuid().is_root() {
        setgroups(&[])?;
        setgid(Gid::from_raw(NOBODY))?;
        setuid(Uid::from_raw(NOBODY))?;
    }
    Ok(())
}

/// A filter that makes system call `number` fail with `errno`; with `third`, only where its third
/// argument is that.
fn forbid(
    number: libc::c_long,
    third: Option<libc::c_int>,
    errno: libc::c_int,
) -> impl FnMut() -> io::Result<()> + Send + Sync + 'static {
    let (load, jump) = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, libc::BPF_JMP | libc::BPF_JEQ);
    let step = |code: u32, jf: u8, k: u32| libc::sock_filter {
        code: u16::try_from(code).unwrap(),
        jt: 0,
        jf,
        k,
    };
    // `struct seccomp_data`: the number at 0, the arguments of eight bytes each from 16 on.
    let mut filter = vec![step(load, 0, 0)];
    let rest = if third.is_some() { 3 } else { 1 };
    filter.push(step(jump, rest, u32::try_from(number).unwrap()));
    if let Some(third) = third {
        filter.push(step(load, 0, 32));
        filter.push(step(jump, 1, third.unsigned_abs()));
    }
    filter.push(step(libc::BPF_RET, 0, libc::SECCOMP_RET_ERRNO | errno.unsigned_abs()));
    filter.push(step(libc::BPF_RET, 0, libc::SECCOMP_RET_ALLOW));
    move || {
        let program = libc::sock_fprog {
            len: u16::try_from(filter.len()).unwrap_or(0),
            filter: filter.as_mut_ptr(),
        };
        nix::sys::prctl::set_no_new_privs()?;
        let flags: libc::c_ulong = 0;
        // SAFETY: the filter is a whole program, and outlives the call, which copies it.
        let set = unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                flags,
                &raw const program,
            )
        };
        nix::errno::Errno::result(set)?;
        Ok(())
    }
}

/// A named segment with a manager; unlinked also if the test fails.
struct Named(SegmentName, Arc<Segment>);

impl Named {
    fn create() -> Named {
        let options = SegmentOptions {
            len: Manager::segment_len(&Config::default(), 4096),
            layout_hash: LAYOUT_HASH,
            ..SegmentOptions::default()
        };
        let name = SegmentName::unique("environment");
        let segment = Segment::create_named(&name, &options).unwrap();
        drop(Manager::create(&segment, &Config::default(), &Options::default()).unwrap());
        Named(name, segment)
    }

    fn file(&self) -> File {
        File::from(self.1.fd().try_clone_to_owned().unwrap())
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        let _ = Segment::unlink(&self.0);
    }
}

/// Gives this process shared memory of its own, with these options.
fn shared_memory(options: &std::ffi::CStr) -> io::Result<()> {
    let (root, nothing) = (libc::MS_REC | libc::MS_PRIVATE, std::ptr::null());
    // SAFETY: names and options are C strings that outlive the calls.
    let done = unsafe {
        libc::unshare(libc::CLONE_NEWNS)
            | libc::mount(c"none".as_ptr(), c"/".as_ptr(), nothing, root, nothing.cast())
            | libc::mount(
                c"tmpfs".as_ptr(),
                c"/dev/shm".as_ptr(),
                c"tmpfs".as_ptr(),
                0,
                options.as_ptr().cast(),
            )
    };
    nix::errno::Errno::result(done)?;
    Ok(())
}

#[test]
fn full_shared_memory_is_an_error_and_no_bus_error() {
    if !nix::unistd::geteuid().is_root() {
        // Only root may have a file system of its own; the limit below is met by everybody.
        return;
    }
    let folder = std::env::temp_dir().join(format!("takeover-no-room-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let output = folder.join("output").into_os_string().into_string().unwrap();
    let program = program!("takeover").into_os_string().into_string().unwrap();
    // With 64 KiB INFO alone would fit. Each is refused before a process or a file is begun.
    for (args, room) in [
        (&["run", "--jobs", "4"][..], c"size=16k"),
        (&["run", "--jobs", "4", "--crash", "after-us:40"], c"size=64k"),
        (&["run", "--jobs", "4", "--crash", "after-submit:3"], c"size=64k"),
        (&["run", "--input", &program, "--output", &output], c"size=64k"),
        (&["kills", "--runs", "2"], c"size=64k"),
        (&["sweep", "--jobs", "2"], c"size=16k"),
    ] {
        let says =
            ["bytes of shared memory, and /dev/shm has", "No space left on device", "--shm-size"];
        refused(args, move || shared_memory(room), &says);
    }
    assert!(!Path::new(&output).exists());
    std::fs::remove_dir(&folder).unwrap();
}

/// Room that the question before cannot see: for one name, but not for another.
#[test]
fn a_primary_that_finds_no_room_ends_the_run_at_once() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let began = std::time::Instant::now();
    for crash in ["after-us:40", "after-submit:3"] {
        let scenario = ["run", "--jobs", "4", "--crash", crash];
        refused(
            &scenario,
            || shared_memory(c"nr_inodes=2"),
            &["shm_open", "No space left on device"],
        );
    }
    assert!(began.elapsed() < fixtures::roles::LIMIT / 3, "{:?}", began.elapsed());
}

#[test]
fn limit_of_file_size_is_an_error_and_no_signal() {
    let limited = || Ok(setrlimit(Resource::RLIMIT_FSIZE, 8192, 8192)?);
    refused(&["run", "--jobs", "4"], limited, &["RLIMIT_FSIZE allows files of 8192 bytes"]);
}

#[test]
fn segment_of_somebody_else_is_refused_by_name() {
    let named = Named::create();
    if !nix::unistd::geteuid().is_root() {
        let readable = std::fs::Permissions::from_mode(0o400);
        named.file().set_permissions(readable).unwrap();
    }
    let name = named.0.as_str();
    refused(&["inspect", name], become_nobody, &[name, "Permission denied"]);
}

#[test]
fn sweep_and_replay_without_ptrace_say_what_to_allow() {
    let scenario = Scenario { jobs: 1, ..Scenario::default() };
    let token = format!("{scenario}@0");
    // Asked before the scenario is prepared, and so not told by a sweep that has begun.
    let says = ["sweeps and replays step a process", "cannot be traced: allow ptrace"];
    for args in [&["sweep", "--jobs", "1", "--sample", "5"][..], &["replay", &token]] {
        refused(args, forbid(libc::SYS_ptrace, None, libc::EPERM), &says);
    }
}

/// Where the library is that judges, there is one that is none.
#[test]
fn absent_openssl_is_an_error_before_anything_is_forked() {
    let folder = std::env::temp_dir().join(format!("takeover-no-openssl-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("libcrypto.so.3"), "").unwrap();
    let output = folder.join("output").into_os_string().into_string().unwrap();
    let program = program!("takeover").into_os_string().into_string().unwrap();
    for args in [
        &["run", "--cipher", "aes-128-gcm", "--direction", "decrypt"][..],
        &["run", "--size", "1048576", "--input", &program, "--output", &output],
        &["sweep", "--jobs", "1"],
        &["kills", "--runs", "1"],
        &["soak", "--seconds", "1"],
    ] {
        let mut command = Command::new(&program);
        let found = command.args(args).env("LD_LIBRARY_PATH", &folder).output().unwrap();
        let error = String::from_utf8_lossy(&found.stderr);
        assert_eq!(found.status.code(), Some(1), "{args:?}: {error}");
        for wanted in ["libcrypto.so.3", "libssl3", "openssl-libs"] {
            assert!(error.contains(wanted), "{args:?}: no `{wanted}` in: {error}");
        }
        assert!(!error.contains("panicked"), "{args:?}: {error}");
        assert!(!Path::new(&output).exists(), "{args:?}: a file was begun");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

/// Nothing here asks for huge pages. What is asked of the kernel beyond a mapping is advice: pages at
/// once, and not in core dumps. Where it is refused, pages come when they are touched.
#[test]
fn advice_that_the_system_does_not_know_is_done_without() {
    for advice in [libc::MADV_POPULATE_WRITE, libc::MADV_HUGEPAGE, libc::MADV_DONTDUMP] {
        let unknown = forbid(libc::SYS_madvise, Some(advice), libc::EINVAL);
        let (code, out, error) = takeover(&["run", "--crash", "after-submit:15"], unknown);
        assert_eq!(code, 0, "{out}{error}");
        assert!(out.contains("15"), "{out}");
    }
}

#[test]
fn truncated_segment_is_named_as_such() {
    let named = Named::create();
    named.file().set_len(4096).unwrap();
    refused(&["inspect", named.0.as_str()], || Ok(()), &["has 4096 bytes, but", "it was cut"]);
    named.file().set_len(100).unwrap();
    refused(&["inspect", named.0.as_str()], || Ok(()), &["has 100 bytes, but"]);
}

#[test]
fn segment_of_another_version_is_named_as_such() {
    let named = Named::create();
    named.file().write_all_at(&7_u32.to_le_bytes(), 8).unwrap();
    let says = ["segment layout version 7, but this build speaks", "use equal builds"];
    refused(&["inspect", named.0.as_str()], || Ok(()), &says);
}

/// A standby that cannot even start is no reason to wait for the limit of its primary: that waits for it.
#[test]
fn a_standby_that_fails_ends_the_run_at_once() {
    let folder = std::env::temp_dir().join(format!("takeover-launch-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let script = folder.join("takeover");
    let text = format!(
        "#!/bin/sh\n[ \"$2\" = secondary ] && {{ echo cannot stand by >&2; exit 9; }}\nexec {} \"$@\"\n",
        program!("takeover").display()
    );
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700)).unwrap();
    let scenario = Scenario {
        crash: CrashPoint::AfterSubmit(Scenario::default().jobs),
        ..Scenario::default()
    };
    let launch = Launch { program: script, label: "launch".to_owned() };
    let began = std::time::Instant::now();
    let report = fixtures::supervisor::run(&scenario, &launch).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(!report.passed(), "{report}");
    let said = report.findings.join("\n");
    assert!(said.contains("the secondary said: cannot stand by"), "{said}");
    assert!(said.contains("the secondary ended with exit 9"), "{said}");
    assert!(began.elapsed() < fixtures::roles::LIMIT / 3, "{:?}", began.elapsed());
}
