//! Reads a pgoutput message from front to back. Every failure says what was being read.

use bytes::{Buf, Bytes};

use super::Error;

/// What is left of one message.
pub(super) struct Cursor {
    left: Bytes,
}

impl Cursor {
    pub(super) fn new(message: Bytes) -> Self {
        Self { left: message }
    }

    fn need(&self, count: usize, reading: &'static str) -> Result<(), Error> {
        if self.left.len() < count {
            return Err(Error::Truncated { reading, need: count, left: self.left.len() });
        }
        Ok(())
    }

    pub(super) fn u8(&mut self, reading: &'static str) -> Result<u8, Error> {
        self.need(1, reading)?;
        Ok(self.left.get_u8())
    }

    pub(super) fn u16(&mut self, reading: &'static str) -> Result<u16, Error> {
        self.need(2, reading)?;
        Ok(self.left.get_u16())
    }

    pub(super) fn u32(&mut self, reading: &'static str) -> Result<u32, Error> {
        self.need(4, reading)?;
        Ok(self.left.get_u32())
    }

    pub(super) fn u64(&mut self, reading: &'static str) -> Result<u64, Error> {
        self.need(8, reading)?;
        Ok(self.left.get_u64())
    }

    pub(super) fn i64(&mut self, reading: &'static str) -> Result<i64, Error> {
        self.need(8, reading)?;
        Ok(self.left.get_i64())
    }

    /// A signed length that must not be negative, then so many bytes, without copying them.
    pub(super) fn sized(&mut self, reading: &'static str) -> Result<Bytes, Error> {
        let length = self.u32(reading)?;
        let length = usize::try_from(length.cast_signed()).map_err(|_| Error::NegativeLength { reading })?;
        self.need(length, reading)?;
        Ok(self.left.split_to(length))
    }

    /// Text up to a zero byte, which is dropped.
    pub(super) fn text(&mut self, reading: &'static str) -> Result<String, Error> {
        let end = self.left.iter().position(|byte| *byte == 0).ok_or(Error::Unterminated { reading })?;
        let text = self.left.split_to(end);
        self.left.advance(1);
        String::from_utf8(text.into()).map_err(|_| Error::NotUtf8 { reading })
    }

    /// A message that goes on after its end was misread.
    pub(super) fn end(self, reading: &'static str) -> Result<(), Error> {
        if self.left.is_empty() { Ok(()) } else { Err(Error::Trailing { reading, count: self.left.len() }) }
    }
}
