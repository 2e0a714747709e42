//! Genesys's statuses of a message, and the reasons for a failure.

use crate::record::{record, words};

words! {
    /// The status of a message. Genesys documents `Delivered` and `Failed`; its receipt call
    /// accepts all but `Read`.
    ///
    /// ```
    /// use genesys::receipt::ReceiptStatus;
    ///
    /// assert!(ReceiptStatus::Delivered.can_be_posted());
    /// assert!(!ReceiptStatus::Read.can_be_posted());
    /// assert!(!ReceiptStatus::from("Eaten").can_be_posted());
    /// ```
    #[derive(Default)]
    ReceiptStatus {
        /// It was sent.
        #[default]
        Sent = "Sent",
        /// It reached the customer.
        Delivered = "Delivered",
        /// It did not reach the customer, and will not.
        Failed = "Failed",
        /// It was published; for receipts about inbound messages.
        Published = "Published",
        /// It was taken back.
        Removed = "Removed",
        /// It was read; only the deprecated inbound call takes it.
        Read = "Read",
    }
}

impl ReceiptStatus {
    /// Whether the receipt call accepts this status (SDK model `OpenInboundNormalizedReceipt`).
    pub fn can_be_posted(&self) -> bool {
        !matches!(self, Self::Read | Self::Other(_))
    }
}

words! {
    /// Why a message failed (SDK model `ConversationReason`). Expect Genesys to refuse any other
    /// code.
    ///
    /// ```
    /// use genesys::receipt::ReasonCode;
    ///
    /// assert_eq!(ReasonCode::from("RecipientOptedOut"), ReasonCode::RecipientOptedOut);
    /// assert_eq!(ReasonCode::MessageExpired.as_str(), "MessageExpired");
    /// ```
    ReasonCode {
        /// It expired.
        MessageExpired = "MessageExpired",
        /// It was throttled.
        RateLimited = "RateLimited",
        /// A policy refused it.
        MessageNotAllowed = "MessageNotAllowed",
        /// Anything else.
        GeneralError = "GeneralError",
        /// The provider cannot take this kind of message.
        UnsupportedMessage = "UnsupportedMessage",
        /// The message is not known.
        UnknownMessage = "UnknownMessage",
        /// It is malformed.
        InvalidMessageStructure = "InvalidMessageStructure",
        /// There is no such recipient.
        InvalidDestination = "InvalidDestination",
        /// The provider failed.
        ServerError = "ServerError",
        /// The type of a medium is refused.
        MediaTypeNotAllowed = "MediaTypeNotAllowed",
        /// A medium is too large.
        InvalidMediaContentLength = "InvalidMediaContentLength",
        /// The recipient does not want messages.
        RecipientOptedOut = "RecipientOptedOut",
        /// The content was filtered; only in newer SDKs.
        DataFiltered = "DataFiltered",
    }
}

record! {
    /// Why a message failed. Agents do not see it: it appears in the conversation's `errorInfo`.
    ///
    /// ```
    /// use genesys::receipt::{Reason, ReasonCode};
    ///
    /// let reason = Reason::new(ReasonCode::GeneralError, "The chat service answered 503.");
    /// let body = serde_json::to_value(&reason)?;
    /// assert_eq!(body["code"], "GeneralError");
    /// assert_eq!(body["message"], "The chat service answered 503.");
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    tolerant Reason {
        needs {
            /// A sentence for people.
            message: String = "message",
        }
        may {
            /// One of a closed list.
            code: ReasonCode = "code",
        }
    }
}

impl Reason {
    /// A reason with its code.
    pub fn new(code: ReasonCode, message: impl Into<String>) -> Self {
        Self { message: message.into(), code: Some(code), ..Self::default() }
    }
}
