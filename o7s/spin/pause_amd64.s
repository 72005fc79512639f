// SPDX-License-Identifier: BSD-3-Clause

#include "textflag.h"

// func pause()
TEXT ·pause(SB), NOSPLIT, $0-0
	PAUSE
	RET
