//! Makes the merchants of a load, their endpoints, and the endpoints' accounts at the simulator.

use std::time::Duration;

use anyhow::Context as _;
use chassis::Token;
use domain::ids::MerchantId;
use domain::ledger::Order;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use uuid::Uuid;

use super::Options;
use crate::account::{Endpoint, Line, Merchant, Run, Writer};
use crate::payments_api::PaymentsApi;
use crate::portal::Portal;
use crate::simulator::Simulator;
use crate::{AT_A_TIME, now};

/// A load that can be driven.
#[derive(Debug)]
pub struct Ready {
    /// What it was told.
    pub options: Options,
    /// Part of every reference and key.
    pub run: String,
    /// Its merchants.
    pub merchants: Vec<Merchant>,
    /// Their endpoints.
    pub endpoints: Vec<Endpoint>,
    pub(super) writer: Writer,
    pub(super) api: PaymentsApi,
}

/// Makes everything that the payments need; each thing is on the account as soon as it is there.
///
/// # Errors
/// If a service gives no answer in time or refuses, or the account can't be written.
pub async fn set_up(options: Options) -> anyhow::Result<Ready> {
    let token = options.token_file.as_deref().map(Token::from_file).transpose().context("--token-file")?;
    let operator_token = Token::from_file(&options.operator_token_file).context("--operator-token-file")?;
    let api = PaymentsApi::new(&options.api_url, token, options.one_try)?;
    let portal = Portal::new(&options.portal_url, operator_token, options.one_try)?;
    let simulator = Simulator::new(&options.simulator_url, options.one_try)?;
    let writer = Writer::open(&options.account)?;
    let run = new_run();
    let line = Run {
        run: run.clone(),
        started_at: now(),
        seed: options.seed,
        api_url: options.api_url.clone(),
        simulator_url: options.simulator_url.clone(),
        token_file: options.token_file.as_deref().map(std::path::absolute).transpose().context("--token-file")?,
    };
    writer.sync(&Line::Run(line)).await?;

    let within = options.answer_within;
    let merchants = stream::iter(0..options.merchants)
        .map(|n| make_merchant(&api, &writer, &run, n, within))
        .buffered(AT_A_TIME)
        .try_collect::<Vec<_>>()
        .await?;
    let owners = merchants.iter().flat_map(|m| std::iter::repeat_n(m.merchant_id, options.endpoints_per_merchant));
    let endpoints = stream::iter(owners)
        .map(|merchant_id| make_endpoint(&portal, &simulator, &writer, &options, merchant_id))
        .buffered(AT_A_TIME)
        .try_collect::<Vec<_>>()
        .await?;
    Ok(Ready { options, run, merchants, endpoints, writer, api })
}

/// Twelve random hex digits.
fn new_run() -> String {
    let mut digits = Uuid::now_v7().simple().to_string();
    digits.split_off(20)
}

async fn make_merchant(
    api: &PaymentsApi,
    writer: &Writer,
    run: &str,
    n: usize,
    within: Duration,
) -> anyhow::Result<Merchant> {
    let name = format!("load {run} merchant {n}");
    let merchant_id = api.make_merchant(&name, &format!("load-{run}-merchant-{n}"), within).await?;
    let merchant = Merchant { merchant_id, name };
    writer.sync(&Line::Merchant(merchant.clone())).await?;
    Ok(merchant)
}

/// Its URL names the endpoint, whose id is known only after it is made: so it is made first and moved then.
async fn make_endpoint(
    portal: &Portal,
    simulator: &Simulator,
    writer: &Writer,
    options: &Options,
    merchant_id: MerchantId,
) -> anyhow::Result<Endpoint> {
    let within = options.answer_within;
    let webhooks = format!("{}/webhooks", options.simulator_url.as_str().trim_end_matches('/'));
    let new = portal.make_endpoint(merchant_id, &webhooks, &options.event_types, within).await?;
    simulator.put_account(new.endpoint_id, &new.secret, within).await?;
    portal.move_endpoint(new.endpoint_id, &format!("{webhooks}/{}", new.endpoint_id), within).await?;
    let order = Order::default();
    let endpoint = Endpoint { endpoint_id: new.endpoint_id, merchant_id, event_types: new.event_types, order };
    writer.sync(&Line::Endpoint(endpoint.clone())).await?;
    Ok(endpoint)
}
