//! Has the linker lay the program out as `link-order.txt` says: what a start needs lies side by
//! side, so that an idle server holds few pages of its program. `bench/order` writes the file, from
//! a program that keeps its symbols. Were it Cargo that takes them out, they would have other names
//! where it does not.

use std::{env, process::Command};

/// Whoever sets it gets a program with its symbols.
const KEEP: &str = "VESTIBULE_SYMBOLS";

#[expect(clippy::disallowed_methods, reason = "cargo speaks to build scripts in variables")]
fn main() {
    println!("cargo::rerun-if-changed=link-order.txt");
    println!("cargo::rerun-if-env-changed={KEEP}");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|is| is == value);
    // The option is LLD's, which Rust takes here by itself; whoever chooses a linker goes without.
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let chosen = env::var_os("RUSTC_LINKER").is_some() || flags.contains("link");
    if is("PROFILE", "release") && is("CARGO_CFG_TARGET_OS", "linux") && env::var_os(KEEP).is_none()
    {
        println!("cargo::rustc-link-arg-bin=vestibule=-Wl,--strip-all");
    }
    if is("PROFILE", "release") && is("TARGET", "x86_64-unknown-linux-gnu") && !chosen {
        let order = concat!(env!("CARGO_MANIFEST_DIR"), "/link-order.txt");
        println!("cargo::rustc-link-arg-bin=vestibule=-Wl,--symbol-ordering-file={order}");
        // Names that a later version no longer has do no harm.
        println!("cargo::rustc-link-arg-bin=vestibule=-Wl,--no-warn-symbol-ordering");
        if is_known_to_loader() {
            println!("cargo::rustc-link-arg-bin=vestibule=-Wl,-z,pack-relative-relocs");
        }
    }
}

/// Whether the C library here, which loads the program, reads packed addresses: then the start
/// touches a megabyte less. glibc does since 2.36.
fn is_known_to_loader() -> bool {
    let asked = Command::new("getconf").arg("GNU_LIBC_VERSION").output();
    let said = asked.ok().and_then(|output| String::from_utf8(output.stdout).ok());
    let version = said.as_deref().and_then(|said| said.trim().strip_prefix("glibc 2."));
    version.and_then(|minor| minor.parse::<u32>().ok()).is_some_and(|minor| minor >= 36)
}
