//! What the unified calendar shows: written down whenever a member changes, in the same transaction.
#![allow(unused_variables)]
