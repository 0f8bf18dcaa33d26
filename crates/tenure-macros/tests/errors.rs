//! Compile errors point at the mistake, and unused values are warned about. The tests are here and
//! not with `tenure`'s own: each is compiled as a program, which needs no store here.

#[test]
fn compile_errors_point_at_the_mistake() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
