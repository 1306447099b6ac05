//! Who asked, taken out of a request for the handlers, and how what they do is written down.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;

use crate::auth::{Caller, Role};
use crate::connection::Peer;
use crate::model::Action;
use crate::server::{Shared, refusal};

/// Who a request comes from, after the door was passed.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) caller: Caller,
    pub(crate) address: IpAddr,
}

impl<S: Sync> FromRequestParts<S> for Asked {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let nobody = Caller { role: Role::Viewer, name: None, person: false };
        let caller = parts.extensions.get::<Caller>().cloned().unwrap_or(nobody);
        let address = parts.extensions.get::<Peer>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip());
        Ok(Self { caller, address })
    }
}

impl Asked {
    /// The name that goes into logs; empty where nobody is known.
    pub(crate) fn who(&self) -> String {
        self.caller.name.clone().unwrap_or_default()
    }

    /// Writes down what was done; the error is the answer.
    pub(crate) async fn note(&self, shared: &Shared, action: &str, target: &str, outcome: &str) -> Result<(), Box<Response>> {
        let action = Action {
            who: self.who(),
            role: self.caller.role.as_str().to_owned(),
            from: self.address.to_string(),
            action: action.to_owned(),
            target: target.to_owned(),
            outcome: outcome.to_owned(),
        };
        shared.backend.note(action).await.map_err(|trouble| {
            tracing::error!(%trouble, "what was done cannot be written down");
            Box::new(refusal(StatusCode::INTERNAL_SERVER_ERROR, "the audit log cannot be written: tell whoever runs the system"))
        })
    }
}
