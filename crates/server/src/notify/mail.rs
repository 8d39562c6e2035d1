//! Mail that notifies, by the mail server of the settings.

use std::fmt;
use std::str::FromStr as _;

use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::SmtpTransport;
use lettre::{Address, Message, Transport as _};
use percent_encoding::percent_decode_str;
use spanwise_engine::{Fault, Undelivered};
use spanwise_process::Hidden;
use spanwise_wire::notification::{Mail, Recipient};
use spanwise_wire::{shown, with_causes};

use super::http::LIMIT;

/// Who mail is from, where nothing else is said.
const SENDER: &str = "spanwise@localhost";

/// A mail server, and who the mail is from.
#[derive(Clone)]
pub struct MailServer {
    transport: SmtpTransport,
    from: Mailbox,
    /// The password, which no error says.
    hidden: Hidden,
}

/// A setting that names no mail server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadMailServer {
    /// The address is none. What is wrong is not said with the address: a password may be in it.
    #[error(
        "smtp_url is not the address of a mail server, as smtp://host:25, smtp://user:password@host:587?tls=required or smtps://host"
    )]
    Url,
    /// The sender is none.
    #[error("smtp_from: `{0}` is no mail address")]
    Sender(String),
    /// A sender without a server.
    #[error("smtp_from is set, and smtp_url is not")]
    NoServer,
}

impl MailServer {
    /// A mail server by its address: `smtp://host` in the clear, `smtp://host?tls=required` with STARTTLS, `smtps://host` with TLS from
    /// the start; `user:password@` before the host, percent-encoded. Without a sender mail is from `spanwise@localhost`.
    ///
    /// # Errors
    /// [`BadMailServer`] if one of them is not of this form.
    pub fn new(url: &str, from: Option<&str>) -> Result<MailServer, BadMailServer> {
        let has_host = url.split_once("://").is_some_and(|(scheme, rest)| {
            ["smtp", "smtps"].contains(&scheme) && !rest.split(['/', '?']).next().unwrap_or_default().is_empty()
        });
        if !has_host {
            return Err(BadMailServer::Url);
        }
        let builder = SmtpTransport::from_url(url).map_err(|_| BadMailServer::Url)?;
        let from = from.unwrap_or(SENDER);
        let sender = Mailbox::from_str(from).map_err(|_| BadMailServer::Sender(from.to_owned()))?;
        let hidden = Hidden::new(password(url).as_deref());
        Ok(MailServer { transport: builder.timeout(Some(LIMIT)).build(), from: sender, hidden })
    }

    /// Sends a mail. Blocks.
    ///
    /// # Errors
    /// [`Undelivered`], if the server has not taken it for all of its recipients.
    pub(super) fn send(&self, mail: Mail, id: &str) -> Result<(), Undelivered> {
        let never = |text: String| Undelivered { text, fault: Fault::Rule };
        let message = message(mail, self.from.clone(), id).map_err(never)?;
        let sent = self.transport.send(&message);
        sent.map(drop).map_err(|error| {
            // A mail that is refused for good is tried again all the same: what is wrong may be a setting of the server's.
            let fault = if error.is_permanent() { Fault::Message } else { Fault::Receiver };
            Undelivered { text: format!("the mail server: {}", shown_error(&self.hidden, &error)), fault }
        })
    }
}

/// The password in the address of a mail server.
fn password(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let (login, _) = rest.split(['/', '?']).next()?.rsplit_once('@')?;
    let (_, password) = login.split_once(':')?;
    Some(percent_decode_str(password).decode_utf8_lossy().into_owned())
}

fn shown_error(hidden: &Hidden, error: &lettre::transport::smtp::Error) -> String {
    if error.is_timeout() {
        return format!("it has not answered within {} s", LIMIT.as_secs());
    }
    hidden.mask(&with_causes(error)).chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect()
}

impl fmt::Debug for MailServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MailServer").field("from", &self.from).finish_non_exhaustive()
    }
}

/// Whether a mail can be sent at all.
pub(super) fn check(mail: &Mail) -> Result<(), String> {
    for recipient in mail.to.iter().chain(&mail.cc).chain(&mail.bcc) {
        mailbox(recipient)?;
    }
    Ok(())
}

fn mailbox(Recipient { name, address }: &Recipient) -> Result<Mailbox, String> {
    let parsed = Address::from_str(address).map_err(|_| format!("email: `{}` is no mail address", shown(address)))?;
    Ok(Mailbox::new(Some(name.clone()).filter(|name| !name.is_empty()), parsed))
}

fn message(mail: Mail, from: Mailbox, id: &str) -> Result<Message, String> {
    // What is answered to it by a machine is answered to nobody (RFC 3834).
    let by_a_machine = HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned());
    let mut builder = Message::builder()
        .message_id(Some(format!("<{id}@spanwise>")))
        .raw_header(by_a_machine)
        .from(from)
        .subject(mail.subject);
    for to in &mail.to {
        builder = builder.to(mailbox(to)?);
    }
    for cc in &mail.cc {
        builder = builder.cc(mailbox(cc)?);
    }
    for bcc in &mail.bcc {
        builder = builder.bcc(mailbox(bcc)?);
    }
    let message = match mail.html {
        Some(html) => builder.multipart(MultiPart::alternative_plain_html(mail.text, html)),
        None => builder.singlepart(SinglePart::plain(mail.text)),
    };
    message.map_err(|error| format!("write the mail: {}", with_causes(&error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_server_is_named_by_an_address_and_its_password_never_shown() {
        for url in [
            "smtp://localhost:25",
            "smtps://mail.example.com",
            "smtp://u:s3cret@h:587?tls=required",
            "smtp://h?tls=opportunistic",
        ] {
            let server = MailServer::new(url, Some("Spanwise <ops@example.com>")).unwrap();
            assert!(!format!("{server:?}").contains("s3cret"));
        }
        for url in ["", "localhost:25", "http://localhost", "smtp://", "smtp://u:s3cret@h?tls=perhaps"] {
            let refused = MailServer::new(url, None).unwrap_err();
            assert!(refused == BadMailServer::Url && !refused.to_string().contains("s3cret"), "{url}");
        }
        let refused = MailServer::new("smtp://h", Some("nobody")).unwrap_err();
        assert_eq!(refused.to_string(), "smtp_from: `nobody` is no mail address");
    }

    #[test]
    fn s13_5_the_password_of_a_mail_server_is_in_no_error() {
        for (url, expected) in [
            ("smtp://user:p%40ss/word@host", None),
            ("smtp://user:p%40ss@host:587?tls=required", Some("p@ss")),
            ("smtp://user@host", None),
            ("smtp://host:25/a:b@c", None),
        ] {
            assert_eq!(password(url).as_deref(), expected, "{url}");
        }
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("smtp://user:s3cret-word@{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            use std::io::{Read as _, Write as _};
            let (mut connection, _) = listener.accept().unwrap();
            let refused = format!("554 {} s3cret-word is wrong\r\n", ".".repeat(260));
            connection.write_all(refused.as_bytes()).unwrap();
            let _ = connection.read(&mut [0; 100]);
        });
        let mail = Mail {
            to: vec![Recipient { name: String::new(), address: "a@example.com".to_owned() }],
            cc: Vec::new(),
            bcc: Vec::new(),
            subject: String::new(),
            text: String::new(),
            html: None,
        };
        let error = MailServer::new(&url, None).unwrap().send(mail, "1").unwrap_err().text;
        assert!(error.contains("....") && error.contains('*') && !error.contains("s3c"), "{error}");
    }

    #[test]
    fn s13_a_mail_has_its_id_and_no_recipient_that_others_do_not_see() {
        let to = |address: &str| Recipient { name: "Größe, \"A\"".to_owned(), address: address.to_owned() };
        let mail = Mail {
            to: vec![to("a@example.com")],
            cc: vec![to("b@example.com")],
            bcc: vec![to("c@example.com")],
            subject: "Lauf größe".to_owned(),
            text: "Größe\n.\n".to_owned(),
            html: Some("<b>x</b>".to_owned()),
        };
        assert_eq!(check(&mail), Ok(()));
        let from = Mailbox::from_str(SENDER).unwrap();
        let message = message(mail.clone(), from, "0123").unwrap();
        let text = String::from_utf8(message.formatted()).unwrap();
        assert!(
            text.contains("Message-ID: <0123@spanwise>\r\n") && text.contains("Auto-Submitted: auto-generated\r\n"),
            "{text}"
        );
        assert!(!text.contains("c@example.com"), "{text}");
        assert_eq!(message.envelope().to().len(), 3);
        let refused = check(&Mail { to: vec![to("a@b@c")], ..mail }).unwrap_err();
        assert_eq!(refused, "email: `a@b@c` is no mail address");
    }
}
