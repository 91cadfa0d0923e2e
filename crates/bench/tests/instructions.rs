//! The gate on the manager's own path: instructions for a job of 64 bytes, from its submission to its
//! return, in place where the algorithm can. Counted by single-stepping, so no neighbour, clock or cache
//! changes the figure: what is over a ceiling is code that grew.

use bench::{Sizes, Spec};
use mbmgr::{Algorithm, Backend, Direction};

/// The most instructions that a job may take with VAES-512, kernel included. The build is that of the
/// tests, with its assertions: a release build takes about 300 less.
const CEILINGS: [(Algorithm, Direction, u64); 8] = [
    (Algorithm::Aes128Cbc, Direction::Encrypt, 805),
    (Algorithm::Aes256Cbc, Direction::Encrypt, 815),
    (Algorithm::Aes128Cbc, Direction::Decrypt, 875),
    (Algorithm::Aes128Ctr, Direction::Encrypt, 885),
    (Algorithm::Sha256, Direction::Encrypt, 1390),
    (Algorithm::HmacSha256, Direction::Encrypt, 1945),
    (Algorithm::Sha512, Direction::Encrypt, 1200),
    (Algorithm::HmacSha512, Direction::Encrypt, 1810),
];

#[test]
fn a_small_job_takes_no_more_instructions_than_its_ceiling() -> anyhow::Result<()> {
    if !Backend::Vaes512.is_available() {
        eprintln!("not checked: the ceilings are those of vaes512, which this machine lacks");
        return Ok(());
    }
    // Tracer and tracee take turns: on one core that is several times as fast.
    bench::pin(bench::last_core()?)?;
    let mut over = Vec::new();
    for (algorithm, direction, ceiling) in CEILINGS {
        let spec = Spec {
            backend: Some(Backend::Vaes512),
            ..Spec::new(algorithm, direction, Sizes::All(64))
        };
        let found = bench::count_instructions(&spec, 2)?.total.div_ceil(2 * 16);
        println!("{algorithm} {direction}: {found} instructions a job, at most {ceiling}");
        if found > ceiling {
            over.push(format!("{algorithm} {direction}: {found} instructions, ceiling {ceiling}"));
        }
    }
    assert!(
        over.is_empty(),
        "jobs of 64 bytes take more instructions than they may:\n  {}\nFind what grew with `takeover \
         bench instructions --cipher NAME`; where it is worth it, raise the ceiling in CEILINGS of {} and \
         say why in the commit",
        over.join("\n  "),
        file!()
    );
    Ok(())
}
