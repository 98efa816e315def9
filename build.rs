//! Link arguments of the shared library, and nothing else: it writes no file.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // Only the artifacts are built with this feature; the tests need no SONAME.
    if std::env::var_os("CARGO_FEATURE_CAPI").is_none() {
        return;
    }
    let os = std::env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    if os == "macos" || os == "ios" {
        println!("cargo:rustc-link-arg=-Wl,-install_name,@rpath/libsteadfast.0.dylib");
    } else {
        println!("cargo:rustc-link-arg=-Wl,-soname,libsteadfast.so.0");
        // A missing symbol is found here, not by the dlopen of a user.
        println!("cargo:rustc-link-arg=-Wl,-z,defs");
        println!("cargo:rustc-link-arg=-Wl,-z,relro,-z,now");
    }
}
