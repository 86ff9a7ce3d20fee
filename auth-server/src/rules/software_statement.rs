//! Software statements (RFC 7591 section 2.3): no issuer of them is trusted here, so each is
//! refused by the name that fits it rather than ignored.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use super::violation::RegistrationViolation;

/// Refuses a registration that leans on a software statement.
pub(crate) fn refuse(body: &Map<String, Value>) -> Result<(), RegistrationViolation> {
    match body.get("software_statement") {
        None | Some(Value::Null) => Ok(()),
        Some(Value::String(statement)) if is_signed(statement) => {
            Err(RegistrationViolation::StatementUnapproved)
        }
        Some(_) => Err(RegistrationViolation::StatementInvalid),
    }
}

/// Whether it has the form of a signed JWT (RFC 7515 section 3.1); unsigned ones are no statement.
fn is_signed(statement: &str) -> bool {
    let parts: Vec<&str> = statement.split('.').collect();
    let [header, claims, signature] = parts.as_slice() else { return false };
    let object = |part: &str| {
        let bytes = URL_SAFE_NO_PAD.decode(part).ok()?;
        serde_json::from_slice::<Map<String, Value>>(&bytes).ok()
    };
    let algorithm = object(header)
        .and_then(|header| header.get("alg").and_then(Value::as_str).map(str::to_ascii_lowercase));
    let is_signature = !signature.is_empty() && URL_SAFE_NO_PAD.decode(signature).is_ok();
    algorithm.is_some_and(|name| name != "none") && object(claims).is_some() && is_signature
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn judge(statement: &Value) -> Result<(), RegistrationViolation> {
        refuse(json!({ "software_statement": statement }).as_object().unwrap())
    }

    #[test]
    fn an_unsigned_statement_is_invalid_and_a_signed_one_has_no_issuer_we_know() {
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let (none, signed) = (part(json!({"alg": "nOnE"})), part(json!({"alg": "ES256"})));
        let claims = part(json!({"iss": "https://vendor.example"}));
        let invalid = Err(RegistrationViolation::StatementInvalid);
        assert_eq!(judge(&json!(format!("{none}.{claims}."))), invalid);
        assert_eq!(judge(&json!(format!("{none}.{claims}.c2ln"))), invalid);
        assert_eq!(judge(&json!(format!("{signed}.{claims}."))), invalid);
        assert_eq!(judge(&json!("text")), invalid);
        assert_eq!(judge(&json!(7)), invalid);
        assert_eq!(
            judge(&json!(format!("{signed}.{claims}.c2ln"))),
            Err(RegistrationViolation::StatementUnapproved)
        );
        assert_eq!(judge(&Value::Null), Ok(()));
    }
}
