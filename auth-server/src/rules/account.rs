//! What accounts and workspaces may be called, and which passwords are taken.

/// Why an account is not made as asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidAccount {
    #[error("an e-mail address has one @ between a name and a host, and at most 320 characters")]
    Email,
    #[error("a name has 1 to 200 characters, none of them a control character")]
    Name,
    #[error("the password is the name, the user name or the e-mail address")]
    PasswordIsName,
    #[error("a password has at most 1024 bytes")]
    PasswordLong,
    #[error("the password is one character over and over")]
    PasswordRepeats,
    #[error("a password has at least 12 characters; several words make a good one")]
    PasswordShort,
    #[error("a role has 1 to 64 characters, none of them a control character")]
    Role,
    #[error(
        "a user name has 1 to 320 characters, no spaces and no control characters, and does not \
         begin with usr_"
    )]
    Username,
}

/// What a password must not be equal to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names<'a> {
    pub(crate) email: Option<&'a str>,
    pub(crate) name: &'a str,
    pub(crate) username: &'a str,
}

/// How few characters a password may have.
const SHORTEST_PASSWORD: usize = 12;
/// How many bytes a password may have, because every one of them is hashed.
const LONGEST_PASSWORD: usize = 1024;

/// A user name as accounts are found by it: case and surrounding spaces do not count.
pub(crate) fn folded(username: &str) -> String {
    username.trim().to_lowercase()
}

/// A user name that can be typed, and cannot be taken for an id.
pub(crate) fn check_username(username: &str) -> Result<(), InvalidAccount> {
    let fits = is_text(username, 320)
        && !username.contains(char::is_whitespace)
        && !folded(username).starts_with("usr_");
    fits.then_some(()).ok_or(InvalidAccount::Username)
}

/// A name as pages show it.
pub(crate) fn check_name(name: &str) -> Result<(), InvalidAccount> {
    is_text(name, 200).then_some(()).ok_or(InvalidAccount::Name)
}

/// A role as pages show it.
pub(crate) fn check_role(role: &str) -> Result<(), InvalidAccount> {
    is_text(role, 64).then_some(()).ok_or(InvalidAccount::Role)
}

/// An e-mail address, as far as it can be judged without sending anything.
pub(crate) fn check_email(email: &str) -> Result<(), InvalidAccount> {
    let fits = is_text(email, 320) && !email.contains(char::is_whitespace);
    match email.split_once('@') {
        Some((name, host)) if fits && !name.is_empty() && !host.is_empty() => {
            if host.contains('@') { Err(InvalidAccount::Email) } else { Ok(()) }
        }
        _ => Err(InvalidAccount::Email),
    }
}

/// A password that takes long to guess.
pub(crate) fn check_password(password: &str, names: Names<'_>) -> Result<(), InvalidAccount> {
    if password.len() > LONGEST_PASSWORD {
        return Err(InvalidAccount::PasswordLong);
    }
    if password.chars().count() < SHORTEST_PASSWORD {
        return Err(InvalidAccount::PasswordShort);
    }
    let mut characters = password.chars();
    let first = characters.next();
    if characters.all(|next| Some(next) == first) {
        return Err(InvalidAccount::PasswordRepeats);
    }
    let same = |name: &str| folded(name) == folded(password);
    if same(names.name) || same(names.username) || names.email.is_some_and(same) {
        return Err(InvalidAccount::PasswordIsName);
    }
    Ok(())
}

fn is_text(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.chars().count())
        && !text.contains(char::is_control)
        && text.trim() == text
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: Names<'_> = Names {
        email: Some("dana@mail.example.com"),
        name: "Dana Demonstration",
        username: "dana@example.com",
    };

    #[test]
    fn a_password_is_long_and_not_a_name() {
        for (password, expected) in [
            ("correct horse battery staple", Ok(())),
            ("twelve chars", Ok(())),
            ("elevenchars", Err(InvalidAccount::PasswordShort)),
            ("äöüäöüäöüäö", Err(InvalidAccount::PasswordShort)),
            ("aaaaaaaaaaaaaaaa", Err(InvalidAccount::PasswordRepeats)),
            ("Dana@Example.com", Err(InvalidAccount::PasswordIsName)),
            ("dana demonstration", Err(InvalidAccount::PasswordIsName)),
            ("DANA@mail.example.com", Err(InvalidAccount::PasswordIsName)),
        ] {
            assert_eq!(check_password(password, NAMES), expected, "{password}");
        }
        let long = "ab".repeat(513);
        assert_eq!(check_password(&long, NAMES), Err(InvalidAccount::PasswordLong));
    }

    #[test]
    fn a_user_name_can_be_typed_and_is_no_id() {
        for good in ["dana", "dana@example.com", "Dana.Demo", "ü"] {
            assert_eq!(check_username(good), Ok(()), "{good}");
        }
        let long = "a".repeat(321);
        for bad in ["", " dana", "da na", "usr_dana", "USR_dana", "a\u{0}b", long.as_str()] {
            assert_eq!(check_username(bad), Err(InvalidAccount::Username), "{bad}");
        }
    }

    #[test]
    fn an_address_has_a_name_and_a_host() {
        for good in ["a@b", "dana.demo+x@mail.example.com"] {
            assert_eq!(check_email(good), Ok(()), "{good}");
        }
        for bad in ["", "a", "@b", "a@", "a@b@c", "a b@c", " a@b"] {
            assert_eq!(check_email(bad), Err(InvalidAccount::Email), "{bad}");
        }
    }

    #[test]
    fn names_are_equal_whatever_their_case() {
        assert_eq!(folded(" Dana@Example.COM "), folded("dana@example.com"));
        assert_ne!(folded("dana"), folded("danа"));
    }
}
