//! The doors of a whole stack, as the witness uses them.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use chassis::Token;
use url::Url;
use verifier::load::{self, Pace, Until};
use verifier::portal::Portal;
use verifier::simulator::Simulator;

use crate::Stack;
use crate::ports::Door;
use crate::routes::Link;
use crate::services::OPERATOR_TOKEN;

/// Nobody asks for it: the portal's own token is for the portal alone.
const BASELINE_TOKEN: &str = "baseline-token";
/// For one try of a request; nothing on one machine takes so long.
const ONE_TRY: Duration = Duration::from_secs(10);
/// For a request with all its tries.
pub const WITHIN: Duration = Duration::from_secs(30);

/// Where the services of a stack are.
#[derive(Debug, Clone)]
pub struct Doors {
    /// payments-api, which is open.
    pub payments_api: Url,
    /// The portal.
    pub portal: Url,
    /// The merchant simulator.
    pub simulator: Url,
    /// cdc-relay.
    pub relay: Url,
    /// Where the portal's operator token is.
    pub operator_token_file: PathBuf,
}

/// What a load shall be; see [`load::Options`].
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// How many merchants, each with one endpoint that wants everything.
    pub merchants: usize,
    /// Status changes after each creation.
    pub changes: usize,
    /// When to stop starting payments.
    pub until: Until,
    /// How fast.
    pub pace: Pace,
}

impl Doors {
    /// The doors of this stack.
    ///
    /// # Errors
    /// If the operator token can't be written.
    pub fn of(stack: &Stack) -> anyhow::Result<Self> {
        let port = |door| stack.ports().of(door);
        let url = |port: u16| {
            let text = format!("http://127.0.0.1:{port}");
            Url::parse(&text).with_context(|| format!("{text} is no URL"))
        };
        Ok(Self {
            payments_api: url(stack.routes().port(Link::LoadToPaymentsApi, stack.ports()))?,
            portal: url(port(Door::Portal))?,
            simulator: url(port(Door::MerchantSimulator))?,
            relay: url(port(Door::CdcRelay))?,
            operator_token_file: stack.secrets().file(OPERATOR_TOKEN)?,
        })
    }

    /// The doors of the old way: one process is both its API and its portal, and asks for no token. Its merchants live
    /// with the others.
    ///
    /// # Errors
    /// If the token that is sent nevertheless can't be written.
    pub fn of_baseline(stack: &Stack) -> anyhow::Result<Self> {
        let text = format!("http://127.0.0.1:{}", stack.ports().of(Door::Baseline));
        let baseline = Url::parse(&text).with_context(|| format!("{text} is no URL"))?;
        let operator_token_file = stack.secrets().file(BASELINE_TOKEN)?;
        Ok(Self { payments_api: baseline.clone(), portal: baseline, operator_token_file, ..Self::of(stack)? })
    }

    /// The load, told where everything is.
    ///
    /// # Errors
    /// Never, unless the word for all events is wrong.
    pub fn load(&self, account: PathBuf, load: Load) -> anyhow::Result<load::Options> {
        Ok(load::Options {
            account,
            api_url: self.payments_api.clone(),
            token_file: None,
            portal_url: self.portal.clone(),
            operator_token_file: self.operator_token_file.clone(),
            simulator_url: self.simulator.clone(),
            merchants: load.merchants,
            endpoints_per_merchant: 1,
            event_types: vec!["payment.*".parse().context("payment.* is no filter of event types")?],
            changes: load.changes,
            until: load.until,
            pace: load.pace,
            seed: 1,
            answer_within: WITHIN,
            one_try: ONE_TRY,
        })
    }

    /// The door to the portal.
    ///
    /// # Errors
    /// If the token can't be read.
    pub fn portal(&self) -> anyhow::Result<Portal> {
        let token = Token::from_file(&self.operator_token_file).context("can't read the operator token")?;
        Portal::new(&self.portal, token, ONE_TRY)
    }

    /// The door to the merchant simulator.
    ///
    /// # Errors
    /// If no HTTP client can be built.
    pub fn simulator(&self) -> anyhow::Result<Simulator> {
        Simulator::new(&self.simulator, ONE_TRY)
    }
}
