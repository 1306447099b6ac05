//! People who sign in: a file of names, roles and password hashes.
//!
//! Invariant: a wrong name and a wrong password cost the same time and get the same answer.

use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use ring::rand::{SecureRandom, SystemRandom};

use crate::auth::{Mistake, Role, entries};
use crate::config::WallConfig;
use crate::gate::hex;

/// The users of `[wall]`.
#[derive(Clone, Debug, Default)]
pub struct Users {
    list: Vec<User>,
}

#[derive(Clone, Debug)]
struct User {
    role: Role,
    name: String,
    /// In the PHC string format: Argon2id, its parameters, salt and hash.
    hash: String,
}

/// Of nobody's password: what a wrong name is checked against.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5bm9ib2R5bm9ibw$WdH7yVnHoNR7HiyF0BH6ykFFiOFPWDaPUo93AMb+jP0";
/// NIST SP 800-63B asks for 8; a console that is open to the city's network asks for more.
const SHORTEST: usize = 10;
/// Hashing costs by the byte.
const LONGEST: usize = 256;

impl Users {
    /// Reads what `config` names; configured but empty is a mistake.
    pub fn load(config: &WallConfig) -> Result<Self, Vec<Mistake>> {
        let Some(file) = &config.users_file else { return Ok(Self::default()) };
        let field = "users_file";
        let mut mistakes = Vec::new();
        let mut users = Self::default();
        match std::fs::read_to_string(file) {
            Ok(text) => {
                for (role, name, hash) in entries(field, &text, "user", &mut mistakes) {
                    if PasswordHash::new(hash).is_err() {
                        let expected = "a line that `huong user` prints";
                        mistakes.push(Mistake { field, found: format!("`{name}`: no password hash"), expected });
                    } else if users.role(name).is_some() {
                        mistakes.push(Mistake { field, found: format!("`{name}` again"), expected: "a name of its own" });
                    } else {
                        users.list.push(User { role, name: name.to_owned(), hash: hash.to_owned() });
                    }
                }
            }
            Err(error) => mistakes.push(Mistake::unreadable(field, file, &error)),
        }
        if mistakes.is_empty() { Ok(users) } else { Err(mistakes) }
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(crate) fn role(&self, name: &str) -> Option<Role> {
        self.list.iter().find(|user| user.name == name).map(|user| user.role)
    }

    /// The role of the user with this password. Takes some 20 ms of processor time and 19 MiB, on purpose.
    pub(crate) fn check(&self, name: &str, password: &str) -> Option<Role> {
        let user = self.list.iter().find(|user| user.name == name);
        let hash = PasswordHash::new(user.map_or(NOBODY, |user| &user.hash)).ok()?;
        let right = password.len() <= LONGEST && Argon2::default().verify_password(password.as_bytes(), &hash).is_ok();
        user.filter(|_| right).map(|user| user.role)
    }
}

/// A new secret for a line of the tokens' file.
///
/// # Errors
/// In words, when the system gives no random numbers.
pub fn new_token() -> Result<String, String> {
    Ok(hex(&random::<32>()?))
}

fn random<const N: usize>() -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| "the system gives no random numbers".to_owned())?;
    Ok(bytes)
}

/// A line of the users' file.
///
/// # Errors
/// In words, when the name or the password cannot be used.
pub fn user_line(role: Role, name: &str, password: &str) -> Result<String, String> {
    if name.is_empty() || name.len() > 64 || name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '#') {
        return Err(format!("name: found `{name}`, expected 1 to 64 characters without spaces and #"));
    }
    if password.chars().count() < SHORTEST || password.len() > LONGEST {
        return Err(format!("password: found {} characters, expected {SHORTEST} to {LONGEST}", password.chars().count()));
    }
    let salt = SaltString::encode_b64(&random::<16>()?).map_err(|error| error.to_string())?;
    let hash = Argon2::default().hash_password(password.as_bytes(), &salt).map_err(|error| error.to_string())?;
    Ok(format!("{} {name} {hash}", role.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_made_is_a_line_read() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("users");
        let line = user_line(Role::Police, "minh", "sông Hương 1999").expect("a good password");
        std::fs::write(&file, format!("# who\n{line}\n")).expect("writable");
        let users = Users::load(&WallConfig { users_file: Some(file), ..WallConfig::default() }).expect("one user");
        assert_eq!(users.check("minh", "sông Hương 1999"), Some(Role::Police));
        assert_eq!(users.check("minh", "sông Hương 1998"), None);
        assert_eq!(users.check("lan", "sông Hương 1999"), None);
        assert!(PasswordHash::new(NOBODY).is_ok(), "a wrong name is hashed for as well");
        assert!(user_line(Role::Viewer, "a b", "0123456789").is_err() && user_line(Role::Viewer, "a", "short").is_err());
    }

    #[test]
    fn mistakes_are_named_without_showing_hashes() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("users");
        let config = WallConfig { users_file: Some(file.clone()), ..WallConfig::default() };
        for (text, expected) in [("", "no user"), ("viewer a secret\n", "`a`: no password hash"), ("boss a b\n", "line 1: role `boss`")] {
            std::fs::write(&file, text).expect("writable");
            let mistakes = Users::load(&config).expect_err("a mistake");
            assert_eq!(mistakes.iter().map(|m| m.found.as_str()).collect::<Vec<_>>(), [expected]);
        }
    }
}
