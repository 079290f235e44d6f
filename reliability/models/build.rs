//! Sets the cfg with which the reducer takes its locks and atomics from `watched.rs`.

fn main() {
    println!("cargo::rustc-cfg=phalanx_models");
    println!("cargo::rerun-if-changed=build.rs");
}
