//! The map as a carrier of OpenTelemetry's propagators.

use opentelemetry::propagation::{Extractor, Injector};

use super::CustomContext;

impl Injector for CustomContext {
    fn set(&mut self, key: &str, value: String) {
        CustomContext::set(self, key, value);
    }
}

impl Extractor for CustomContext {
    fn get(&self, key: &str) -> Option<&str> {
        CustomContext::get(self, key)
    }

    fn keys(&self) -> Vec<&str> {
        self.iter().map(|(key, _)| key).collect()
    }
}
