//! Signs a file so that its reader sees who made it: CMS SignedData (RFC 5652) with the file inside, as Apple's
//! profiles have it. The key is any that TLS takes here: RSA, or ECDSA on P-256 or P-384.

use std::path::Path;

use cms::cert::x509::Certificate;
use cms::cert::x509::attr::{Attribute, Attributes};
use cms::cert::x509::der::asn1::{GeneralizedTime, ObjectIdentifier, OctetString, SetOfVec, UtcTime};
use cms::cert::x509::der::{Any, DateTime, Decode, Encode, Error};
use cms::cert::x509::spki::AlgorithmIdentifierOwned;
use cms::cert::x509::time::Time;
use cms::cert::{CertificateChoices, IssuerAndSerialNumber};
use cms::content_info::{CmsVersion, ContentInfo};
use cms::signed_data::{
    CertificateSet, EncapsulatedContentInfo, SignedData, SignerIdentifier, SignerInfo, SignerInfos,
};
use rustls::SignatureScheme;
use sha2::{Digest, Sha256, Sha384};

use crate::config;
use crate::ical::Instant;

const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const SIGNING_TIME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.5");
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const RSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
const ECDSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const ECDSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");

/// A certificate with its chain, and the key that belongs to it.
pub struct Signer {
    /// The first is the signer's.
    chain: Vec<Certificate>,
    key: Box<dyn rustls::sign::Signer>,
    scheme: SignatureScheme,
}

impl Signer {
    /// Reads PEM files. The error names the file and what is wrong with it.
    pub fn open(certificate: &Path, key: &Path) -> Result<Signer, String> {
        let certified = config::certified(certificate, key)?;
        let wanted = [
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::ECDSA_NISTP384_SHA384,
            SignatureScheme::RSA_PKCS1_SHA256,
        ];
        let signer = certified.key.choose_scheme(&wanted).ok_or_else(|| {
            format!("the key {} is of a kind that Apple does not check: take RSA or ECDSA", key.display())
        })?;
        let chain = certified.cert.iter().map(|der| Certificate::from_der(der)).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(|e| format!("the certificate {} can not be read: {e}", certificate.display()))?;
        Ok(Signer { chain, scheme: signer.scheme(), key: signer })
    }

    /// `content` inside a signed message, in DER.
    pub fn sign(&self, content: &[u8], now: Instant) -> Result<Vec<u8>, String> {
        let (digest, of_content) = match self.scheme {
            SignatureScheme::ECDSA_NISTP384_SHA384 => (SHA384, Sha384::digest(content).to_vec()),
            _ => (SHA256, Sha256::digest(content).to_vec()),
        };
        let attributes = self.attributes(&of_content, now).map_err(words)?;
        // Signed is the set as it stands alone (RFC 5652 5.4), not the form it has inside the message.
        let signature = self.key.sign(&attributes.to_der().map_err(words)?);
        let signature = signature.map_err(|e| format!("the key does not sign: {e}"))?;
        self.message(content, digest, attributes, signature).map_err(words)
    }

    fn attributes(&self, digest: &[u8], now: Instant) -> Result<Attributes, Error> {
        let one = |oid, value: Any| -> Result<Attribute, Error> {
            Ok(Attribute { oid, values: SetOfVec::try_from(vec![value])? })
        };
        SetOfVec::try_from(vec![
            one(CONTENT_TYPE, Any::encode_from(&DATA)?)?,
            one(MESSAGE_DIGEST, Any::encode_from(&OctetString::new(digest)?)?)?,
            one(SIGNING_TIME, Any::encode_from(&time(now)?)?)?,
        ])
    }

    fn message(
        &self,
        content: &[u8],
        digest: ObjectIdentifier,
        attributes: Attributes,
        signature: Vec<u8>,
    ) -> Result<Vec<u8>, Error> {
        let (oid, parameters) = match self.scheme {
            SignatureScheme::ECDSA_NISTP256_SHA256 => (ECDSA_SHA256, None),
            SignatureScheme::ECDSA_NISTP384_SHA384 => (ECDSA_SHA384, None),
            _ => (RSA_SHA256, Some(Any::null())),
        };
        let digest = AlgorithmIdentifierOwned { oid: digest, parameters: None };
        let leaf = &self.chain[0].tbs_certificate;
        let signer = SignerInfo {
            version: CmsVersion::V1,
            sid: SignerIdentifier::IssuerAndSerialNumber(IssuerAndSerialNumber {
                issuer: leaf.issuer.clone(),
                serial_number: leaf.serial_number.clone(),
            }),
            digest_alg: digest.clone(),
            signed_attrs: Some(attributes),
            signature_algorithm: AlgorithmIdentifierOwned { oid, parameters },
            signature: OctetString::new(signature)?,
            unsigned_attrs: None,
        };
        let chain: Vec<_> = self.chain.iter().cloned().map(CertificateChoices::Certificate).collect();
        let signed = SignedData {
            version: CmsVersion::V1,
            digest_algorithms: SetOfVec::try_from(vec![digest])?,
            encap_content_info: EncapsulatedContentInfo {
                econtent_type: DATA,
                econtent: Some(Any::encode_from(&OctetString::new(content)?)?),
            },
            certificates: Some(CertificateSet::try_from(chain)?),
            crls: None,
            signer_infos: SignerInfos::try_from(vec![signer])?,
        };
        ContentInfo { content_type: SIGNED_DATA, content: Any::encode_from(&signed)? }.to_der()
    }
}

/// RFC 5652 11.3: UTCTime up to 2049, GeneralizedTime from then on.
fn time(now: Instant) -> Result<Time, Error> {
    let since = std::time::Duration::from_secs(u64::try_from(now.0).unwrap_or(0));
    let at = DateTime::from_unix_duration(since)?;
    Ok(match UtcTime::from_date_time(at) {
        Ok(at) => Time::UtcTime(at),
        Err(_) => Time::GeneralTime(GeneralizedTime::from_date_time(at)),
    })
}

fn words(e: Error) -> String {
    format!("the signature could not be written: {e}")
}
