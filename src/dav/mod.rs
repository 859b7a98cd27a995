//! WebDAV and CalDAV: method × target → one of the files below.
#![allow(unused_variables)]

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};

use crate::app::App;
use crate::store::users::Actor;

/// Answers one DAV request. The body was read under its limits; the actor was made by `web/auth.rs`.
pub async fn handle(app: &Arc<App>, actor: &Actor, request: Request<Bytes>) -> Response<Bytes> { todo!() }

/// Answers OPTIONS, which needs no login.
pub fn options(app: &Arc<App>, path: &str) -> Response<Bytes> { todo!() }
