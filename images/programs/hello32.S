/* hello32: a whole 32-bit program, so that the kernel loads an i386 ELF file and runs a thread of that kind. */
.globl _start
_start:
	movl $4, %eax           /* write(1, greeting, length) */
	movl $1, %ebx
	movl $greeting, %ecx
	movl $length, %edx
	int $0x80
	movl $20, %eax          /* getpid() */
	int $0x80
	movl $1, %eax           /* exit(0) */
	xorl %ebx, %ebx
	int $0x80

.section .rodata
greeting:
	.ascii "hello32: written by a 32-bit program\n"
	.set length, . - greeting
.section .note.GNU-stack, "", @progbits
