import DRMExec
import DRMLock
import DRMSync
import GateSupport
import KernelErrno
