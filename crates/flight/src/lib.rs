//! Arrow Flight SQL over whatever answers SQL.
