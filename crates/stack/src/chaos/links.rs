//! The proxies in front of a stack's doors, one for each link.

use std::collections::BTreeMap;

use anyhow::Context;
use chassis::Lifecycle;

use super::SECOND_CONSUMER;
use super::proxy::{Mode, Proxy};
use crate::Stack;
use crate::ports::Door;
use crate::routes::Link;

/// Every proxy of a stack that has routes.
#[derive(Debug)]
pub struct Links(BTreeMap<Link, Proxy>);

impl Links {
    /// Opens them; before anything is started, since nobody finds another way.
    ///
    /// # Errors
    /// If a port is taken, or the stack's links are straight.
    pub async fn open(stack: &Stack, lifecycle: &Lifecycle) -> anyhow::Result<Self> {
        let mut proxies = BTreeMap::new();
        for link in Link::ALL {
            let front = stack.routes().front(link).with_context(|| format!("{link} has no proxy"))?;
            let mut backs = vec![stack.routes().back(link, stack.ports())];
            if link.door() == Door::WebhookConsumer {
                backs.push(stack.further_port(SECOND_CONSUMER)?);
            }
            let proxy = Proxy::open(lifecycle, front, backs).await;
            proxies.insert(link, proxy.with_context(|| format!("can't open the proxy of {link}"))?);
        }
        Ok(Self(proxies))
    }

    /// Cuts what stands.
    pub fn cut(&self, link: Link) {
        if let Some(proxy) = self.0.get(&link) {
            proxy.cut();
        }
    }

    /// Has a link disturbed until the answer is dropped.
    #[must_use]
    pub fn disturb(&self, link: Link, mode: Mode) -> Disturbed<'_> {
        let proxy = self.0.get(&link);
        if let Some(proxy) = proxy {
            proxy.set(mode);
        }
        Disturbed(proxy)
    }
}

/// A link that is disturbed; everything passes again when this value is dropped.
#[derive(Debug)]
pub struct Disturbed<'a>(Option<&'a Proxy>);

impl Drop for Disturbed<'_> {
    fn drop(&mut self) {
        if let Some(proxy) = self.0 {
            proxy.set(Mode::Pass);
        }
    }
}
