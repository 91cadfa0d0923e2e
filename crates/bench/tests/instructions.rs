//! The gate on the manager's own path: instructions for a job of 64 bytes, from its submission to its
//! return, in place where the algorithm can. Counted by single-stepping, so no neighbour, clock or cache
//! changes the figure: what is over a ceiling is code that grew.

use bench::{Keys, Sizes, Spec};
use mbmgr::{Algorithm, Backend, Direction};

/// The most instructions that a job may take with VAES-512, kernel included: where all jobs have one
/// key, and where each has its own (0: it takes none). The build is that of the tests, with assertions
/// and incremental, which inlines less: without the latter it takes some 90 less, in release some 400.
const CEILINGS: [(Algorithm, Direction, [u64; 2]); 8] = [
    (Algorithm::Aes128Cbc, Direction::Encrypt, [920, 1075]),
    (Algorithm::Aes256Cbc, Direction::Encrypt, [930, 1130]),
    (Algorithm::Aes128Cbc, Direction::Decrypt, [980, 1020]),
    (Algorithm::Aes128Ctr, Direction::Encrypt, [1000, 1040]),
    (Algorithm::Sha256, Direction::Encrypt, [1525, 0]),
    (Algorithm::HmacSha256, Direction::Encrypt, [2105, 2145]),
    (Algorithm::Sha512, Direction::Encrypt, [1335, 0]),
    (Algorithm::HmacSha512, Direction::Encrypt, [1965, 2005]),
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
    for (algorithm, direction, ceilings) in CEILINGS {
        for (keys, ceiling) in [Keys::One, Keys::Each].into_iter().zip(ceilings) {
            if ceiling == 0 {
                continue;
            }
            let spec = Spec {
                backend: Some(Backend::Vaes512),
                keys,
                ..Spec::new(algorithm, direction, Sizes::All(64))
            };
            let found = bench::count_instructions(&spec, 1)?.total.div_ceil(16);
            let what =
                format!("{algorithm} {direction}, keys: {keys:?}: {found} instructions a job");
            println!("{what}, at most {ceiling}");
            if found > ceiling {
                over.push(format!("{what}, ceiling {ceiling}"));
            }
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
