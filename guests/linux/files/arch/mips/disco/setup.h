/* SPDX-License-Identifier: GPL-2.0 */
#ifndef DISCO_SETUP_H
#define DISCO_SETUP_H

void disco_shutdown_init(void);

#endif
