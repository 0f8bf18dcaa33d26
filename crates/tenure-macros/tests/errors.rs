//! Compile errors point at the mistake. These stand here and not with `tenure`'s tests because
//! each is compiled as a program of its own, which here needs no store.

#[test]
fn compile_errors_point_at_the_mistake() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
