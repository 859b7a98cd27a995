//! store → provider → store.
