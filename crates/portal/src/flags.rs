//! The command line.

use std::path::PathBuf;

use chassis::database::DatabaseFlags;
use chassis::egress::EgressFlags;
use chassis::flags::{Listen, ServiceFlags};
use clap::Parser;
use url::Url;

/// The operator's door: makes endpoints, and says what became of every event.
#[derive(Debug, Clone, Parser)]
#[command(version)]
pub struct Flags {
    /// Where to listen.
    #[arg(long, env = "EVERHOOK_LISTEN", default_value = "127.0.0.1:3003")]
    pub listen: Listen,
    /// A file that holds the token which every request must bring as `Authorization: Bearer <token>`.
    #[arg(long, env = "EVERHOOK_OPERATOR_TOKEN_FILE")]
    pub operator_token_file: PathBuf,
    /// A file with the keys that merchants' tokens are signed with, base64 of 32 bytes a line. The first one signs; keep an
    /// old one as a further line for a day.
    #[arg(long, env = "EVERHOOK_TOKEN_KEY_FILE")]
    pub token_key_file: PathBuf,
    /// Where data-service is; it makes the signing secrets.
    #[arg(long, env = "EVERHOOK_DATA_SERVICE_URL", default_value = "http://127.0.0.1:3002")]
    pub data_service_url: Url,
    /// A file that holds the token which data-service knows the portal by.
    #[arg(long, env = "EVERHOOK_DATA_SERVICE_TOKEN_FILE")]
    pub data_service_token_file: PathBuf,
    /// What an endpoint's URL may be; the same as at webhook-consumer.
    #[command(flatten)]
    pub egress: EgressFlags,
    /// Where the database is.
    #[command(flatten)]
    pub database: DatabaseFlags,
    /// What every service takes.
    #[command(flatten)]
    pub service: ServiceFlags,
}
