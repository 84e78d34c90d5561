//! Generates the code from the thrift file; needs nothing but Rust.

fn main() {
    println!("cargo::rerun-if-changed=echo.thrift");
    volo_build::Builder::thrift()
        .add_service("echo.thrift")
        .write()
        .expect("code can be generated from echo.thrift");
}
