//! What is shipped holds none of the mistakes that tests make on purpose.

/// What the names of everything in the module of mistakes have in common.
const MARK: &[u8] = b"groundswell_core5teeth";

#[test]
fn mistakes_are_only_where_they_are_asked_for() {
    let program = std::fs::read(env!("CARGO_BIN_EXE_groundswell")).unwrap();
    let has_mark = program.windows(MARK.len()).any(|part| part == MARK);
    assert_eq!(has_mark, cfg!(feature = "teeth"));
}
