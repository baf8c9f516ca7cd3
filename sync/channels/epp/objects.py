"""What the registration channel speaks about: an enterprise and the two people it names, a prefix, and the commands.

Public: the elements and their order (draft-chen-top-level-interface-protocol-03, restated in secondary-node §5.5;
an expired individual draft, whose names match the national client).  The numbers of `certificate type` are the
draft's, too.  Our own, because no schema is public: which elements may be left out, the longest texts (those of the
published enterprise form, §4.1), the sizes of photos (so that two fit into a message), and `nature` as the number
of `entType`.  The draft knows six kinds of identity papers; their numbers are passed on as they are.

What is personal, or a photo, has no `repr`: a value may end up in a log or a traceback.
"""

from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import ClassVar, TypeAlias

from sync.channels.epp.codes import EppError, ResultCode
from sync.channels.epp.form import NUMBER, PHOTO, TEXT, branch, check, choice, inline, leaf

MAX_PHOTO_BYTES = 360_000
MAX_ID_CHARACTERS = 64

_SHR_PREFIX = r"[0-9]+\.[0-9]+"
_PREFIX = r"[0-9]+\.[0-9]+(\.[0-9A-Za-z_-]+)+"
_REGION = "[0-9]{6}"  # GB/T 2260
_CREDIT_CODE = "[0-9A-Z]{18}"  # GB 32100; its check digit is the model's concern


class CertificateType(IntEnum):
    """What `entCrtCode` is a number of: the draft's numbers."""

    CREDIT_CODE = 1
    OTHER = 3


class PhotoType(Enum):
    """The formats of photos that the draft names."""

    JPEG = "JPEG"
    PNG = "PNG"
    BMP = "BMP"


@dataclass(frozen=True, slots=True, repr=False)
class Contact:
    """联系人: whom the top-level node calls."""

    name: str = field(metadata=leaf("name", TEXT, 128))
    email: str = field(metadata=leaf("email", TEXT, 128))
    phone: str = field(metadata=leaf("phone", TEXT, 16))

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, slots=True, repr=False)
class LegalPerson:
    """法定代表人, with a photo of the identity paper."""

    name: str = field(metadata=leaf("name", TEXT, 128))
    id_type: int = field(metadata=leaf("idType", NUMBER, 6))
    id_number: str = field(metadata=leaf("idNo", TEXT, 32))
    id_photo_type: PhotoType = field(metadata=leaf("idImgType", choice(PhotoType)))
    id_photo: bytes = field(metadata=leaf("idImg", PHOTO, MAX_PHOTO_BYTES))

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, slots=True, repr=False)
class Enterprise:
    """企业: all that is said of it when it is registered, and when it is replaced as a whole."""

    nature: int = field(metadata=leaf("entType", NUMBER, 99))
    credit_code: str = field(metadata=leaf("entCrCode", TEXT, 18, pattern=_CREDIT_CODE))
    certificate_photo: bytes = field(metadata=leaf("entCrtImg", PHOTO, MAX_PHOTO_BYTES))
    certificate_photo_type: PhotoType = field(metadata=leaf("entCrtImgType", choice(PhotoType)))
    unit_name: str = field(metadata=leaf("entNameCn", TEXT, 255))
    province: str = field(metadata=leaf("entProvinceCode", TEXT, 6, pattern=_REGION))
    city: str = field(metadata=leaf("entCityCode", TEXT, 6, pattern=_REGION))
    county: str | None = field(
        metadata=leaf("entCountyCode", TEXT, 6, pattern=_REGION, required=False)
    )
    address: str = field(metadata=leaf("entAddrCn", TEXT, 255))
    unit_name_en: str | None = field(metadata=leaf("entNameEn", TEXT, 255, required=False))
    address_en: str | None = field(metadata=leaf("entAddrEn", TEXT, 255, required=False))
    website: str | None = field(metadata=leaf("entWebSite", TEXT, 255, required=False))
    introduction: str | None = field(metadata=leaf("entDesc", TEXT, 1024, required=False))
    contact: Contact = field(metadata=branch("contact", Contact))
    legal_person: LegalPerson = field(metadata=branch("legalPerson", LegalPerson))

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, slots=True)
class EnterpriseChange:
    """What may change without a new review of the papers.  None leaves a field as it is, an empty text clears it."""

    province: str | None = field(
        default=None, metadata=leaf("entProvinceCode", TEXT, 6, pattern=_REGION, required=False)
    )
    city: str | None = field(
        default=None, metadata=leaf("entCityCode", TEXT, 6, pattern=_REGION, required=False)
    )
    county: str | None = field(
        default=None, metadata=leaf("entCountyCode", TEXT, 6, pattern=_REGION, required=False)
    )
    address: str | None = field(default=None, metadata=leaf("entAddrCn", TEXT, 255, required=False))
    unit_name_en: str | None = field(
        default=None, metadata=leaf("entNameEn", TEXT, 255, required=False, shortest=0)
    )
    address_en: str | None = field(
        default=None, metadata=leaf("entAddrEn", TEXT, 255, required=False, shortest=0)
    )
    website: str | None = field(
        default=None, metadata=leaf("entWebSite", TEXT, 255, required=False, shortest=0)
    )
    introduction: str | None = field(
        default=None, metadata=leaf("entDesc", TEXT, 1024, required=False, shortest=0)
    )
    contact: Contact | None = field(
        default=None, metadata=branch("contact", Contact, required=False)
    )

    def __post_init__(self) -> None:
        check(self)


class Subject(Enum):
    """The two objects of the draft, and the prefix of their elements."""

    ENTERPRISE = "ent"
    PREFIX = "prefix"


@dataclass(frozen=True, slots=True)
class CheckEnterprise:
    """Ask whether the top-level node knows an enterprise, and by which number."""

    VERB: ClassVar[str] = "check"
    SUBJECT: ClassVar[Subject] = Subject.ENTERPRISE

    shr_user_id: str = field(metadata=leaf("shrUserId", TEXT, MAX_ID_CHARACTERS))
    certificate_type: CertificateType = field(metadata=leaf("entCrtType", choice(CertificateType)))
    certificate_number: str = field(repr=False, metadata=leaf("entCrtCode", TEXT, 32))

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, slots=True)
class CheckPrefix:
    """Ask whether a prefix can still be had."""

    VERB: ClassVar[str] = "check"
    SUBJECT: ClassVar[Subject] = Subject.PREFIX

    shr_prefix: str = field(
        metadata=leaf("shrPrefix", TEXT, MAX_ID_CHARACTERS, pattern=_SHR_PREFIX)
    )
    prefix: str = field(metadata=leaf("prefix", TEXT, MAX_ID_CHARACTERS, pattern=_PREFIX))

    def __post_init__(self) -> None:
        check(self)
        _check_below(self.prefix, self.shr_prefix)


@dataclass(frozen=True, slots=True)
class CreateEnterprise:
    """Register an enterprise below a secondary node."""

    VERB: ClassVar[str] = "create"
    SUBJECT: ClassVar[Subject] = Subject.ENTERPRISE

    shr_prefix: str = field(
        metadata=leaf("shrPrefix", TEXT, MAX_ID_CHARACTERS, pattern=_SHR_PREFIX)
    )
    enterprise: Enterprise = field(metadata=inline(Enterprise))

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, slots=True)
class CreatePrefix:
    """Register an enterprise's prefix; who decides may take days (1001), and says so by poll."""

    VERB: ClassVar[str] = "create"
    SUBJECT: ClassVar[Subject] = Subject.PREFIX

    shr_prefix: str = field(
        metadata=leaf("shrPrefix", TEXT, MAX_ID_CHARACTERS, pattern=_SHR_PREFIX)
    )
    ent_id: str = field(metadata=leaf("entId", TEXT, MAX_ID_CHARACTERS))
    prefix: str = field(metadata=leaf("prefix", TEXT, MAX_ID_CHARACTERS, pattern=_PREFIX))

    def __post_init__(self) -> None:
        check(self)
        _check_below(self.prefix, self.shr_prefix)


@dataclass(frozen=True, slots=True)
class ReplaceEnterprise:
    """Change an enterprise as a whole: needed when its nature, papers, name or legal person change."""

    VERB: ClassVar[str] = "update"
    SUBJECT: ClassVar[Subject] = Subject.ENTERPRISE
    WHOLE: ClassVar[str] = "chgAll"  # what tells it from a change of some fields

    shr_prefix: str = field(
        metadata=leaf("shrPrefix", TEXT, MAX_ID_CHARACTERS, pattern=_SHR_PREFIX)
    )
    ent_id: str = field(metadata=leaf("entId", TEXT, MAX_ID_CHARACTERS))
    enterprise: Enterprise = field(metadata=branch(WHOLE, Enterprise))

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, slots=True)
class ChangeEnterprise:
    """Change some fields of an enterprise."""

    VERB: ClassVar[str] = "update"
    SUBJECT: ClassVar[Subject] = Subject.ENTERPRISE

    shr_user_id: str = field(metadata=leaf("shrUserId", TEXT, MAX_ID_CHARACTERS))
    ent_id: str = field(metadata=leaf("entId", TEXT, MAX_ID_CHARACTERS))
    change: EnterpriseChange = field(metadata=branch("chg", EnterpriseChange))

    def __post_init__(self) -> None:
        check(self)
        if self.change == EnterpriseChange():
            raise EppError(ResultCode.REQUIRED_PARAMETER_MISSING, "chg is empty; change a field")


ObjectCommand: TypeAlias = (
    CheckEnterprise
    | CheckPrefix
    | CreateEnterprise
    | CreatePrefix
    | ReplaceEnterprise
    | ChangeEnterprise
)


def _check_below(prefix: str, shr_prefix: str) -> None:
    if not prefix.startswith(f"{shr_prefix}."):
        raise EppError(
            ResultCode.PARAMETER_VALUE_POLICY_ERROR,
            f"prefix {prefix} does not lie below {shr_prefix}; ask for one that does",
        )
