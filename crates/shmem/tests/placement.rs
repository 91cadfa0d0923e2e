//! Identical placement: exactly the creator's address in another process, or a clear error.

use shmem::{Error, Placement, Segment, SegmentName, SegmentOptions};

#[path = "common/mod.rs"]
#[expect(dead_code, reason = "shared by several test programs")]
mod common;
use common::{Named, Role, role, say};

const HASH: u64 = 9;

fn identical() -> SegmentOptions {
    SegmentOptions {
        len: 1 << 20,
        placement: Placement::Identical,
        layout_hash: HASH,
        populate: true,
    }
}

#[test]
fn second_process_gets_the_creators_addresses() {
    const TEST: &str = "second_process_gets_the_creators_addresses";
    if let Some((_, names)) = role() {
        let (info, data) = names.split_once(' ').unwrap();
        let open = |name: &str| {
            let name = SegmentName::parse(name).unwrap();
            Segment::open_named(&name, Placement::Identical, HASH).unwrap()
        };
        let (info, data) = (open(info), open(data));
        let at = info.root(0).unwrap().unwrap();
        info.write(at, b"seen by the child").unwrap();
        say(&format!("{:#x} {:#x}", info.address(), data.address()));
        return;
    }
    let (info, data) = (Named::create("info", &identical()), Named::create("data", &identical()));
    let at = info.segment.arena().alloc(64, 64).unwrap();
    info.segment.publish_root(0, at).unwrap();
    let mut child = Role::spawn(TEST, "opener", &format!("{} {}", info.name, data.name));
    let expected = format!("{:#x} {:#x}", info.segment.address(), data.segment.address());
    assert_eq!(child.next(), expected);
    assert!(child.end().success());
    let mut bytes = [0; 17];
    info.segment.read(at, &mut bytes).unwrap();
    assert_eq!(&bytes, b"seen by the child");
}

#[test]
fn occupied_address_is_refused_by_the_name_of_its_occupant() {
    let named = Named::create("occupied", &identical());
    // In this process the creator's own mapping lies there.
    let error = Segment::open_named(&named.name, Placement::Identical, HASH).unwrap_err();
    let Error::AddressOccupied { address, len, occupant } = &error else { panic!("{error}") };
    assert_eq!(*address, named.segment.address() as u64);
    assert_eq!(*len, 1 << 20);
    assert!(occupant.starts_with(&format!("{address:x}-")), "{occupant}");
    assert!(occupant.contains(named.name.as_str()), "{occupant}");
    assert!(error.to_string().contains("placement anywhere"), "{error}");
    // What lies there is untouched, and anywhere works.
    let at = named.segment.arena().alloc(8, 8).unwrap();
    named.segment.write(at, b"kept").unwrap();
    let other = Segment::open_named(&named.name, Placement::Anywhere, HASH).unwrap();
    let mut bytes = [0; 4];
    other.read(at, &mut bytes).unwrap();
    assert_eq!(&bytes, b"kept");
}

#[test]
fn an_occupant_that_overlaps_only_the_end_is_found() {
    let small = SegmentOptions { len: 4096, ..identical() };
    let first = Segment::create_anonymous("first", &small).unwrap();
    // Another segment whose header claims an address a page below, two pages long.
    let named = Named::create("second", &SegmentOptions { len: 8192, ..identical() });
    let claimed = first.address() as u64 - 4096;
    let file = std::fs::File::from(named.segment.fd().try_clone_to_owned().unwrap());
    std::os::unix::fs::FileExt::write_all_at(&file, &claimed.to_ne_bytes(), 32).unwrap();
    let error = Segment::open_named(&named.name, Placement::Identical, HASH).unwrap_err();
    let Error::AddressOccupied { occupant, .. } = &error else { panic!("{error}") };
    assert!(occupant.contains("first"), "{occupant}");
    assert_eq!(first.arena().start().get(), shmem::HEADER_LEN);
}

#[test]
fn identical_address_is_free_again_after_the_segment_is_dropped() {
    let named = Named::create("again", &identical());
    let name = named.name.clone();
    let address = named.segment.address();
    let fd = named.segment.fd().try_clone_to_owned().unwrap();
    drop(named);
    let reopened = Segment::open_fd(fd, Placement::Identical, HASH).unwrap();
    assert_eq!(reopened.address(), address);
    let fd = reopened.fd().try_clone_to_owned().unwrap();
    drop(reopened);
    let copy = Segment::open_private_copy(fd, Placement::Identical, HASH).unwrap();
    assert_eq!(copy.address(), address);
    assert!(!SegmentName::list().unwrap().contains(&name));
}
