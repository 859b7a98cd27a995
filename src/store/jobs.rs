//! Duties: what must be kept done, one row each, with a due time and a lease.
#![allow(unused_variables)]
