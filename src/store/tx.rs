//! What a closure of `Store::read` and `Store::write` works with: one SQL text for both engines.
#![allow(unused_variables)]
pub struct Tx<'a> {
    x: std::marker::PhantomData<&'a ()>,
}
