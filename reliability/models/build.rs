//! Tells the room of the reducer that its locks and atomics come from `watched.rs`.

fn main() {
    println!("cargo::rustc-cfg=phalanx_models");
    println!("cargo::rerun-if-changed=build.rs");
}
