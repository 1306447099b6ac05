//! Windows against plain computations from all readings.
