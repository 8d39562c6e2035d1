//! What the attributes take, and what they say about what they do not take. `TRYBUILD=overwrite` writes the messages anew.

#[test]
fn good_forms_compile_and_wrong_ones_are_told_why() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/compile/pass/*.rs");
    cases.compile_fail("tests/compile/fail/*.rs");
}
