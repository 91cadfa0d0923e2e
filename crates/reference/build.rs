//! Compiles the shim against the installed header of the library; without the feature does nothing.

fn main() {
    println!("cargo:rerun-if-changed=src/shim.c");
    println!("cargo:rerun-if-changed=src/exact.c");
    #[cfg(feature = "ipsec-mb")]
    {
        // An absent header is a compiler error that names it; the warning names the way out.
        let header = std::path::Path::new("/usr/include/intel-ipsec-mb.h");
        if !header.exists() {
            println!(
                "cargo:warning=the feature ipsec-mb needs intel-ipsec-mb.h: install libipsec-mb-dev"
            );
        }
        cc::Build::new()
            .files(["src/shim.c", "src/exact.c"])
            .opt_level(3)
            .warnings(true)
            .compile("reference_shim");
        println!("cargo:rustc-link-lib=dylib=IPSec_MB");
    }
}
