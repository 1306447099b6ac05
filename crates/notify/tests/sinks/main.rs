//! The sinks against real receivers: HTTP servers, a mail server, mosquitto, a reader of web push, a validator of CAP.

mod cap;
mod mqtt;
mod peers;
mod people;
mod support;
mod webhook;
