//! What the attributes take, and what they say about what they do not take. `TRYBUILD=overwrite` writes the messages anew.

#[expect(clippy::too_many_arguments, reason = "twelve is the limit, and it is tested")]
#[path = "../compile/pass/task.rs"]
mod task_forms;

#[path = "../compile/pass/main_function.rs"]
mod main_forms;

#[path = "../compile/pass/trace_and_traced.rs"]
mod trace_forms;

#[test]
fn good_forms_compile() {
    task_forms::calls();
    trace_forms::calls();
    main_forms::calls();
}

#[test]
fn wrong_forms_are_told_why() {
    trybuild::TestCases::new().compile_fail("tests/compile/fail/*.rs");
}
