"""mail.py PORT FILE [CERTIFICATE KEY]: a mail server that writes each message to FILE as a line of JSON; STARTTLS with a certificate."""
import email
import email.policy
import json
import signal
import ssl
import sys

from aiosmtpd.controller import Controller


class Keep:
    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        line = {"to": envelope.rcpt_tos, "from": envelope.mail_from, "tls": session.ssl is not None,
                "headers": {name.lower(): str(value) for name, value in mail.items()}, "body": mail.get_content()}
        if any(to.startswith("nobody@") for to in envelope.rcpt_tos):
            return "550 no such mailbox"
        with open(sys.argv[2], "a") as file:
            file.write(json.dumps(line) + "\n")
        return "250 kept"


options = {}
if len(sys.argv) > 3:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[3], sys.argv[4])
    options = {"tls_context": context, "require_starttls": True}
controller = Controller(Keep(), hostname="127.0.0.1", port=int(sys.argv[1]), **options)
controller.start()
signal.sigwait({signal.SIGTERM, signal.SIGINT})
controller.stop()
