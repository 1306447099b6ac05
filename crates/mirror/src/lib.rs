//! Follows the store and copies it to an InfluxDB 2 compatible server.
