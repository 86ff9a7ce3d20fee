//! Has the linker lay the program out as `link-order.txt` says: what a start needs lies side by
//! side, so that an idle server holds few pages of its program. `bench/order` writes the file.

use std::env;

#[expect(clippy::disallowed_methods, reason = "cargo speaks to build scripts in variables")]
fn main() {
    println!("cargo::rerun-if-changed=link-order.txt");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|is| is == value);
    // The option is LLD's, which Rust takes here by itself; whoever chooses a linker goes without.
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let chosen = env::var_os("RUSTC_LINKER").is_some() || flags.contains("link");
    if is("PROFILE", "release") && is("TARGET", "x86_64-unknown-linux-gnu") && !chosen {
        let order = concat!(env!("CARGO_MANIFEST_DIR"), "/link-order.txt");
        println!("cargo::rustc-link-arg-bin=vestibule=-Wl,--symbol-ordering-file={order}");
        // Names that a later version no longer has do no harm.
        println!("cargo::rustc-link-arg-bin=vestibule=-Wl,--no-warn-symbol-ordering");
    }
}
