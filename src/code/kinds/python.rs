//! Python packages.

use crate::code::{Coded, ErrorCode, io_or};
use crate::pin::python::Error as PinError;
use crate::python::bytecode::BytecodeError;
use crate::python::install::Reason;
use crate::python::uv::UvError;
use crate::python::zip::ZipError;
use crate::python::{
    IndexError, InstallError, InterpreterError, PylockError, RecordError, RequirementsError, SchemeError, TagsError,
    WheelNameError,
};
use crate::source::bytecode::CompilersError;
use crate::source::compiler::UnpackError;
use crate::source::python::PythonError;

impl Coded for IndexError {
    fn code(&self) -> ErrorCode {
        match self {
            IndexError::Absent(_) => ErrorCode::Gone,
            IndexError::Digest { .. } => ErrorCode::WrongBytes,
            IndexError::TooLong
            | IndexError::Type(_)
            | IndexError::Json(_)
            | IndexError::Version(_)
            | IndexError::Other { .. } => ErrorCode::Index,
        }
    }
}

impl Coded for ZipError {
    fn code(&self) -> ErrorCode {
        match self {
            ZipError::Io(error) => io_or(error, ErrorCode::Wheel),
            ZipError::Content(error) => error.code(),
            ZipError::Structure { .. } | ZipError::Member { .. } => ErrorCode::Wheel,
        }
    }
}

impl Coded for InstallError {
    fn code(&self) -> ErrorCode {
        match &self.reason {
            Reason::Zip(error) => error.code(),
            Reason::Content(error) => error.code(),
            Reason::Io { source, .. } => source.code(),
            Reason::Path(error) => error.code(),
            Reason::Metadata(_) | Reason::Record(_) | Reason::EntryPoints(_) | Reason::DataKey(_) => ErrorCode::Wheel,
            Reason::Ours(_) | Reason::Conflict { .. } => ErrorCode::Conflict,
        }
    }
}

impl Coded for WheelNameError {
    fn code(&self) -> ErrorCode {
        ErrorCode::Wheel
    }
}

impl Coded for RecordError {
    fn code(&self) -> ErrorCode {
        ErrorCode::Wheel
    }
}

impl Coded for SchemeError {
    fn code(&self) -> ErrorCode {
        match self {
            SchemeError::Interpreter(_) => ErrorCode::NoPython,
            SchemeError::Path(error) => error.code(),
        }
    }
}

impl Coded for TagsError {
    fn code(&self) -> ErrorCode {
        ErrorCode::NoWheel
    }
}

impl Coded for InterpreterError {
    fn code(&self) -> ErrorCode {
        match self {
            InterpreterError::None | InterpreterError::Version(_) | InterpreterError::Libc => ErrorCode::NoPython,
            InterpreterError::Missed(_) => ErrorCode::NotRead,
            InterpreterError::Resolve(error) => error.code(),
            InterpreterError::Path(error) => error.code(),
            InterpreterError::Read { source, .. } => io_or(source, ErrorCode::NoPython),
        }
    }
}

impl Coded for RequirementsError {
    fn code(&self) -> ErrorCode {
        match self {
            RequirementsError::Read { source, .. } => io_or(source, ErrorCode::Unreadable),
            RequirementsError::Line { .. }
            | RequirementsError::Requirement { .. }
            | RequirementsError::Mixed { .. }
            | RequirementsError::Unpinned { .. } => ErrorCode::Requirements,
        }
    }
}

impl Coded for PylockError {
    fn code(&self) -> ErrorCode {
        match self {
            PylockError::NoWheel { .. } => ErrorCode::NoWheel,
            PylockError::Tags(error) => error.code(),
            PylockError::TooLong
            | PylockError::Toml(_)
            | PylockError::Version(_)
            | PylockError::Package { .. }
            | PylockError::Wheel { .. }
            | PylockError::Name(_)
            | PylockError::Marker { .. }
            | PylockError::Python { .. }
            | PylockError::Environment(_)
            | PylockError::Unknown { .. }
            | PylockError::Ambiguous(_) => ErrorCode::Pylock,
        }
    }
}

impl Coded for UvError {
    fn code(&self) -> ErrorCode {
        match self {
            UvError::Platform(_)
            | UvError::None
            | UvError::TooLong
            | UvError::Missing { .. }
            | UvError::NoPython
            | UvError::Failed(_)
            | UvError::Output => ErrorCode::Uv,
            UvError::Offline => ErrorCode::Offline,
            UvError::Run { source, .. } => io_or(source, ErrorCode::Uv),
            UvError::NoWheel { .. } => ErrorCode::NoWheel,
            UvError::Unsolvable(_) => ErrorCode::Unresolvable,
            UvError::Network(_) => ErrorCode::Unreachable,
        }
    }
}

impl Coded for PinError {
    fn code(&self) -> ErrorCode {
        match self {
            PinError::NoPython | PinError::Version(_) | PinError::OtherVersion { .. } => ErrorCode::NoPython,
            PinError::Arch(error) => error.code(),
            PinError::Read { source, .. } => io_or(source, ErrorCode::Unreadable),
            PinError::Requirements(error) => error.code(),
            PinError::Pylock { source, .. } => source.code(),
            PinError::UvLock(_) => ErrorCode::Pylock,
            PinError::NoMatch(_) => ErrorCode::NothingMatches,
            PinError::Glob(error) => error.code(),
            PinError::WheelName(error) => error.code(),
            PinError::Unfit { .. } | PinError::NoWheel { .. } => ErrorCode::NoWheel,
            PinError::Wheel(error) => error.code(),
            PinError::Python { .. } => ErrorCode::Unresolvable,
            PinError::Tags(error) => error.code(),
            PinError::Pyproject { .. }
            | PinError::Two { .. }
            | PinError::Marker { .. }
            | PinError::Url { .. }
            | PinError::Filled { .. }
            | PinError::Hashes { .. }
            | PinError::Again { .. } => ErrorCode::Requirements,
            PinError::OtherFile { .. } | PinError::OtherHash(_) => ErrorCode::WrongBytes,
            PinError::Nowhere { .. } => ErrorCode::Gone,
            PinError::Index { source, .. } => source.code(),
            PinError::Supply(error) => error.code(),
            PinError::Uv(error) => error.code(),
            PinError::Tmp { source, .. } => source.code(),
        }
    }
}

impl Coded for BytecodeError {
    fn code(&self) -> ErrorCode {
        match self {
            BytecodeError::NoCompiler { .. } | BytecodeError::Ended { .. } | BytecodeError::TooLarge { .. } => {
                ErrorCode::Compile
            }
            BytecodeError::Run { source, .. } | BytecodeError::Source { source, .. } => {
                io_or(source, ErrorCode::Compile)
            }
            BytecodeError::Spool { source, .. } | BytecodeError::Cache { source, .. } => source.code(),
            BytecodeError::Path(error) => error.code(),
        }
    }
}

impl Coded for UnpackError {
    fn code(&self) -> ErrorCode {
        match self {
            UnpackError::Package { source, .. } => source.code(),
            UnpackError::Content { source, .. } => source.code(),
            UnpackError::TooLarge | UnpackError::None { .. } => ErrorCode::Compile,
            UnpackError::Io { source, .. } => source.code(),
        }
    }
}

impl Coded for CompilersError {
    fn code(&self) -> ErrorCode {
        match self {
            CompilersError::Bytecode(error) => error.code(),
            CompilersError::Unpack(error) => error.code(),
            CompilersError::Packages { source, .. } => source.code(),
            CompilersError::Tmp { source, .. } => source.code(),
            CompilersError::Tree(error) => error.code(),
        }
    }
}

impl Coded for PythonError {
    fn code(&self) -> ErrorCode {
        match self {
            PythonError::Ask(error) => error.code(),
            PythonError::Arch(error) => error.code(),
            PythonError::Managed { .. } => ErrorCode::Managed,
            PythonError::Scheme(error) => error.code(),
            PythonError::Name(error) => error.code(),
            PythonError::Url(_) => ErrorCode::LockEdited,
            PythonError::Changed(_) => ErrorCode::PinnedOther,
            PythonError::Supply(error) => error.code(),
            PythonError::Install(error) => error.code(),
            PythonError::Place(error) => error.code(),
            PythonError::Path(error) => error.code(),
            PythonError::Record { source, .. } => source.code(),
            PythonError::Read { source, .. } => io_or(source, ErrorCode::Unreadable),
            PythonError::Compile(error) => error.code(),
        }
    }
}
