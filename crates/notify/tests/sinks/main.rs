//! The sinks against real receivers: an HTTP server on a socket, and mosquitto.

mod mqtt;
mod support;
mod webhook;
