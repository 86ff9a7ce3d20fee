//! What a script answers.

use redis::Value;

use super::fault::server_fault;
use crate::StoreError;

/// A script's answer. The accessors fail with [`StoreError::Corrupt`] on another kind of answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Several answers.
    Array(Vec<Reply>),
    /// A string.
    Bytes(Vec<u8>),
    /// A number.
    Int(i64),
    /// Nothing.
    Nil,
}

impl Reply {
    /// The bytes of a string.
    pub fn as_bytes(&self) -> Result<&[u8], StoreError> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            other => Err(other.instead_of("a string")),
        }
    }

    /// A number, or a string that is one in decimal.
    pub fn as_int(&self) -> Result<i64, StoreError> {
        match self {
            Self::Int(number) => Ok(*number),
            Self::Bytes(bytes) => std::str::from_utf8(bytes)
                .ok()
                .and_then(|text| text.parse().ok())
                .ok_or_else(|| self.instead_of("a number")),
            other => Err(other.instead_of("a number")),
        }
    }

    /// The text of a string.
    pub fn as_str(&self) -> Result<&str, StoreError> {
        std::str::from_utf8(self.as_bytes()?).map_err(|_| self.instead_of("text"))
    }

    /// The several answers.
    pub fn into_array(self) -> Result<Vec<Reply>, StoreError> {
        match self {
            Self::Array(replies) => Ok(replies),
            other => Err(other.instead_of("an array")),
        }
    }

    /// The bytes of a string, taken out.
    pub fn into_bytes(self) -> Result<Vec<u8>, StoreError> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            other => Err(other.instead_of("a string")),
        }
    }

    /// Whether it is nothing.
    pub fn is_nil(&self) -> bool {
        matches!(self, Self::Nil)
    }

    pub(super) fn from_value(value: Value) -> Result<Self, StoreError> {
        Ok(match value {
            Value::Array(values) | Value::Set(values) => {
                Self::Array(values.into_iter().map(Self::from_value).collect::<Result<_, _>>()?)
            }
            Value::Boolean(yes) => Self::Int(i64::from(yes)),
            Value::BulkString(bytes) => Self::Bytes(bytes),
            Value::Double(number) => Self::Bytes(number.to_string().into_bytes()),
            Value::Int(number) => Self::Int(number),
            Value::Nil => Self::Nil,
            Value::Okay => Self::Bytes(b"OK".to_vec()),
            Value::ServerError(error) => return Err(server_fault(&error)),
            Value::SimpleString(text) | Value::VerbatimString { text, .. } => {
                Self::Bytes(text.into_bytes())
            }
            _ => {
                return Err(StoreError::Corrupt("a reply of a kind no script makes".to_owned()));
            }
        })
    }

    fn instead_of(&self, wanted: &str) -> StoreError {
        let found = match self {
            Self::Array(_) => "an array",
            Self::Bytes(_) => "another string",
            Self::Int(_) => "a number",
            Self::Nil => "nothing",
        };
        StoreError::Corrupt(format!("a reply should be {wanted} and is {found}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_read_as_what_it_is() {
        let reply = Reply::from_value(Value::Array(vec![
            Value::Int(7),
            Value::BulkString(b"9007199254740993".to_vec()),
            Value::SimpleString("rotated".to_owned()),
            Value::Nil,
            Value::Okay,
        ]));
        let parts = reply.and_then(Reply::into_array).unwrap();
        assert_eq!(parts[0].as_int(), Ok(7));
        assert_eq!(parts[1].as_int(), Ok(9_007_199_254_740_993));
        assert_eq!(parts[2].as_str(), Ok("rotated"));
        assert!(parts[3].is_nil());
        assert_eq!(parts[4].as_bytes(), Ok(b"OK".as_slice()));
    }

    #[test]
    fn a_reply_of_another_kind_is_refused_with_both_kinds() {
        let said = Reply::Nil.as_int().unwrap_err().to_string();
        assert!(said.ends_with("a reply should be a number and is nothing"), "{said}");
        assert!(Reply::Bytes(b"seven".to_vec()).as_int().is_err());
        assert!(Reply::Bytes(vec![0xff]).as_str().is_err());
        assert!(Reply::Int(1).into_array().is_err());
    }
}
