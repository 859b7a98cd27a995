//! The body of an answer: whole, or page by page as the client takes it.

use std::fmt;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};

/// What is there of an answer, and how to come by the rest. A page is made when the one before it was taken, so a
/// client that reads slowly makes us hold one page and nothing else.
#[derive(Default)]
pub struct Body {
    ready: Bytes,
    rest: Option<Rest>,
}

/// The next page, and what comes after it.
pub struct Rest(Pin<Box<dyn Future<Output = Result<Body, Cut>> + Send>>);

/// Why an answer ends before its end. The client sees the connection break and never a short answer that looks whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut(pub String);

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Cut {}

impl Rest {
    pub fn new(next: impl Future<Output = Result<Body, Cut>> + Send + 'static) -> Rest {
        Rest(Box::pin(next))
    }
}

impl Body {
    /// `rest`: what comes behind `ready`.
    pub fn new(ready: impl Into<Bytes>, rest: Option<Rest>) -> Body {
        Body { ready: ready.into(), rest }
    }

    /// The bytes, while all of them are here.
    pub fn whole(&self) -> Option<&Bytes> {
        self.rest.is_none().then_some(&self.ready)
    }
}

impl<B: Into<Bytes>> From<B> for Body {
    fn from(whole: B) -> Body {
        Body::new(whole, None)
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        loop {
            if !self.ready.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(mem::take(&mut self.ready)))));
            }
            let Some(rest) = &mut self.rest else { return Poll::Ready(None) };
            match ready!(rest.0.as_mut().poll(cx)) {
                Ok(next) => *self = next,
                Err(cut) => {
                    self.rest = None;
                    return Poll::Ready(Some(Err(cut)));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ready.is_empty() && self.rest.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.whole() {
            Some(bytes) => SizeHint::with_exact(bytes.len() as u64),
            None => SizeHint::new(),
        }
    }
}
