//! Who this process is, to whoever collects its spans and metrics.

use std::sync::OnceLock;

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;

/// The version of whatever makes spans and metrics here.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The process of a service; spans and metrics of one process tell of the same instance.
pub fn resource(service: &'static str) -> Resource {
    static INSTANCE: OnceLock<String> = OnceLock::new();
    let instance = INSTANCE.get_or_init(|| format!("{:016x}", rand::random::<u64>()));
    Resource::builder_empty()
        .with_attributes([
            KeyValue::new("service.name", service),
            KeyValue::new("service.namespace", "everhook"),
            KeyValue::new("service.version", VERSION),
            KeyValue::new("service.instance.id", instance.as_str()),
        ])
        .build()
}
