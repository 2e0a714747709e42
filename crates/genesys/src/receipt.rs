//! The status that a receipt reports, and the reason for a failure.

use crate::record::{record, words};

words! {
    /// The status of a message. Genesys's documentation names only `Delivered` and `Failed` for
    /// receipts, but the receipt call accepts every status except `Read`.
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
        /// It has not reached the customer, and never will.
        Failed = "Failed",
        /// It was published. Genesys uses it in receipts about inbound messages.
        Published = "Published",
        /// It was withdrawn.
        Removed = "Removed",
        /// The customer has read it. Only the deprecated call `inbound/open` accepts it.
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
    /// The code of a [`Reason`]. The list is from the SDK model `ConversationReason`. Genesys may
    /// refuse a receipt with any other code.
    ///
    /// ```
    /// use genesys::receipt::ReasonCode;
    ///
    /// assert_eq!(ReasonCode::from("RecipientOptedOut"), ReasonCode::RecipientOptedOut);
    /// assert_eq!(ReasonCode::MessageExpired.as_str(), "MessageExpired");
    /// ```
    ReasonCode {
        /// The message expired before it could be delivered.
        MessageExpired = "MessageExpired",
        /// The provider limits the rate of messages.
        RateLimited = "RateLimited",
        /// A policy does not allow the message.
        MessageNotAllowed = "MessageNotAllowed",
        /// No other code applies.
        GeneralError = "GeneralError",
        /// The provider cannot take this kind of message.
        UnsupportedMessage = "UnsupportedMessage",
        /// The provider does not know the message.
        UnknownMessage = "UnknownMessage",
        /// The message is malformed.
        InvalidMessageStructure = "InvalidMessageStructure",
        /// There is no such recipient.
        InvalidDestination = "InvalidDestination",
        /// The provider failed.
        ServerError = "ServerError",
        /// The provider does not take files of this type.
        MediaTypeNotAllowed = "MediaTypeNotAllowed",
        /// A file is too large.
        InvalidMediaContentLength = "InvalidMediaContentLength",
        /// The recipient does not want messages.
        RecipientOptedOut = "RecipientOptedOut",
        /// A filter removed the content. Only newer SDKs have this code.
        DataFiltered = "DataFiltered",
    }
}

record! {
    /// Why a message failed. It appears in the `errorInfo` of the message in its conversation, and
    /// not on the agent's desktop.
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
            /// The kind of failure.
            code: ReasonCode = "code",
        }
    }
}

impl Reason {
    /// Creates a reason with a code and a sentence for people.
    pub fn new(code: ReasonCode, message: impl Into<String>) -> Self {
        Self { message: message.into(), code: Some(code), ..Self::default() }
    }
}
