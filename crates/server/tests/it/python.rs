//! A Python that has the stock SDK.

use std::path::PathBuf;

/// The interpreter named by `SPANWISE_TEST_PYTHON`.
pub(crate) fn with_flyte() -> PathBuf {
    std::env::var_os("SPANWISE_TEST_PYTHON").expect("SPANWISE_TEST_PYTHON names a Python that has flyte").into()
}
