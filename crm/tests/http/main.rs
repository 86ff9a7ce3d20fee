//! The reference CRM over real HTTP, called the way the gateway calls it.

#[cfg(test)]
mod eras;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod identity;
#[cfg(test)]
mod persistence;
#[cfg(test)]
mod reading;
#[cfg(test)]
mod rows;
#[cfg(test)]
mod writing;
