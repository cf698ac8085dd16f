//! Links `src/cli/closed_output.c` into the program, which the language itself has no place for.

fn main() {
    let source = "src/cli/closed_output.c";
    println!("cargo::rerun-if-changed={source}");
    for object in cc::Build::new().file(source).compile_intermediates() {
        println!("cargo::rustc-link-arg-bins={}", object.display());
    }
}
