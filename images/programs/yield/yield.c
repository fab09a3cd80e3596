/* The program of figure 10 of LTT's paper: one function that computes, one that gives the CPU away. */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

int i, j;

void fct_A(int rounds) {
  for (i = 0, j = 0; j < rounds; j++) i++;
  printf("i's value : %d \n", i);
}

void fct_B(int yields) {
  for (j = 0; j < yields; j++) sched_yield();
}

int main(int argc, char **argv) {
  fct_A(argc > 1 ? atoi(argv[1]) : 10000000);
  fct_B(argc > 2 ? atoi(argv[2]) : 1000000);
  return 0;
}
